"""What a data source hands to `prepare`: files as they come out of an archive, not decoded yet."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError

Part = Literal["train", "test"]
Take = Literal["all", "clips", "noise"]  # what of an extra source joins the corpus


@dataclass(frozen=True)
class Span:
    """Bytes that lie plainly in a file: `length` of them from `start` on, for whichever process needs them to read."""

    path: str
    start: int
    length: int

    def __len__(self) -> int:
        return self.length

    def read(self) -> bytes:
        """Return the bytes. Raises PipelineError if they cannot be read, or the file has become shorter."""
        try:
            with open(self.path, "rb", buffering=0) as file:
                file.seek(self.start)
                data = file.read(self.length)
        except OSError as error:
            raise PipelineError(f"{self.path} cannot be read: {error}.") from None
        if len(data) != self.length:
            raise PipelineError(f"{self.path} was changed while it was read. Run it again when nothing writes there.")
        return data


@dataclass(frozen=True)
class Recording:
    """One audio file of a source.

    `name` is unique within its part: "yes/0a7c2a8d_nohash_0.wav" in train, "clip_000044442.wav" in test. Training
    clips have a `word` (the folder's name) or `tags` (several labels at once, in the source's own names) and, where the
    name tells, a `speaker`; test clips have none of them. `metadata` is what else the source knows of the clip, such as
    {"age": "30", "accent": "German"}: any of it can be learnt; what is unknown is left out. Background recordings
    (`is_noise`) are of any length and belong to no word. `split` is for sources that fix it themselves. `data` are the
    file's bytes, or where they lie.

    Sources without audio give `embedding`, uint8 [seconds, 128], in place of `data`; all clips of a source do, or none.
    """

    part: Part
    name: str
    data: bytes | Span = b""
    word: str | None = None
    speaker: str | None = None
    split: Literal["train", "validation", "holdout"] | None = None
    is_noise: bool = False
    tags: tuple[str, ...] | None = None
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    embedding: NDArray[np.uint8] | None = field(default=None, compare=False)


def bytes_of(data: bytes | Span) -> bytes:
    """Return the bytes, read if they are not here yet. Raises PipelineError as `Span.read`."""
    return data.read() if isinstance(data, Span) else data


@dataclass(frozen=True)
class SplitList:
    """The clips that an archive's own list assigns to a split, such as `validation_list.txt`.

    `is_test_set`: the source's test clips are these very clips under other names, so they must judge and nothing else.
    """

    split: Literal["validation", "testing"]
    names: frozenset[str]
    is_test_set: bool = False


@dataclass(frozen=True)
class Rejected:
    """A record that a source could not make a recording of: it goes to the quarantine list with its reason."""

    part: Part
    name: str
    reason: str
