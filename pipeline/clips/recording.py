"""What a data source hands to `prepare`: files as they come out of an archive, not decoded yet."""

from dataclasses import dataclass
from typing import Literal

Part = Literal["train", "test"]


@dataclass(frozen=True)
class Recording:
    """One audio file of a source.

    `name` is unique within its part: "yes/0a7c2a8d_nohash_0.wav" in train, "clip_000044442.wav" in test. Training
    clips have a `word` (the folder's name) and, where the name tells, a `speaker`; test clips have neither. Background
    recordings (`is_noise`) are of any length and belong to no word. `split` is for sources that fix it themselves.
    """

    part: Part
    name: str
    data: bytes
    word: str | None = None
    speaker: str | None = None
    split: Literal["train", "validation", "testing"] | None = None
    is_noise: bool = False


@dataclass(frozen=True)
class SplitList:
    """The clips that an archive's own list assigns to a split, such as `validation_list.txt`.

    `is_test_set`: the source's test clips are these very clips under other names, so they must judge and nothing else.
    """

    split: Literal["validation", "testing"]
    names: frozenset[str]
    is_test_set: bool = False
