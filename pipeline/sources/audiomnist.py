"""AudioMNIST: ten digits, 60 speakers, and what is known of each (Becker et al., arXiv:1807.03418)."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.clips.recording import Recording, Rejected
from pipeline.errors import PipelineError
from pipeline.settings import Settings
from pipeline.sources import SourceFile, archives
from pipeline.sources import _archive as archive

METADATA = "audioMNIST_meta.txt"

_CLIP = re.compile(r"(?P<speaker>[^/]+)/(?P<digit>[0-9])_(?P=speaker)_[0-9]+\.wav")
_AGES = range(1, 121)


class Params(Settings):
    """`path`: a zip of the repository or of its folder `data`, or either of them unpacked."""

    path: Path


def fetch(params: Params, seed: int) -> list[SourceFile]:
    """Find the data; nothing is downloaded. Raises PipelineError if they are missing or the metadata are unusable."""
    if not params.path.exists():
        raise PipelineError(
            f"There is no {params.path} (download.path).\n"
            "AudioMNIST is at https://github.com/soerenab/AudioMNIST: clone it, or download it as a zip, and set "
            "download.path in params.yaml to it."
        )
    path = params.path
    # A clone's .git is as large as its data.
    if (path / "data" / METADATA).is_file():
        path = path / "data"
    data_folder, _ = _read_metadata(path)
    if path.is_file():
        return [archives.describe("train", path)]
    path = path / data_folder
    # The digest of a folder is over sizes only, and another digit in an age changes no size.
    return [archives.describe("train", path), archives.describe("train", path / METADATA)]


def read(files: list[SourceFile]) -> Iterator[Recording | Rejected]:
    """Stream the clips, each with its digit as word, its speaker, and what the metadata tell of the speaker.

    Clips whose names do not fit, whose speaker has no metadata, or which lie elsewhere are rejected, and so is what
    else lies among the clips. Raises PipelineError if there is no clip at all, or the metadata are unusable.
    """
    for file in files:
        if Path(file.path).name != METADATA:
            yield from _clips(Path(file.path))


def _clips(path: Path) -> Iterator[Recording | Rejected]:
    data_folder, metadata = _read_metadata(path)
    found = 0

    # Around the data lies a repository, whose programs and texts are no concern of ours; a clip there would be.
    def is_ours(name: str) -> bool:
        return name.startswith(data_folder) or name.lower().endswith(".wav")

    for full_name, data in archive.members(path, is_ours):
        name = full_name.removeprefix(data_folder)
        fitting = _CLIP.fullmatch(name)
        if full_name == data_folder + METADATA:
            continue
        if not full_name.startswith(data_folder):
            yield Rejected("train", full_name, f"not in the folder of {METADATA}")
        elif fitting is None:
            yield Rejected("train", name, "not named <speaker>/<digit>_<speaker>_<repetition>.wav")
        elif (speaker := fitting["speaker"]) not in metadata:
            yield Rejected("train", name, f"{METADATA} does not know speaker {speaker}")
        else:
            found += 1
            yield Recording("train", name, data, word=fitting["digit"], speaker=speaker, metadata=metadata[speaker])
    if not found:
        raise PipelineError(
            f"{path} holds no clip data/<speaker>/<digit>_<speaker>_<repetition>.wav of a speaker in {METADATA}.\n"
            "Get AudioMNIST anew: https://github.com/soerenab/AudioMNIST"
        )


def _read_metadata(path: Path) -> tuple[str, dict[str, dict[str, str]]]:
    """Return the folder of the metadata inside `path`, with a slash at its end or empty, and their content."""
    found = list(archive.members(path, lambda name: name.split("/")[-1] == METADATA))
    if len(found) != 1:
        raise PipelineError(
            f"{path} must hold one {METADATA}, beside the speakers' folders; it holds {len(found)}.\n"
            "Get AudioMNIST anew: https://github.com/soerenab/AudioMNIST"
        )
    name, content = found[0]
    try:
        speakers = json.loads(content)
        table = {speaker: {key: _text(key, value) for key, value in of.items()} for speaker, of in speakers.items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise PipelineError(f"{path}: {name} must be JSON with metadata by speaker, as published ({error}).") from None
    return name.removesuffix(METADATA), _spelt_alike(table)


def _text(key: str, value: Any) -> str | None:
    """Return a value as text, None where it is unknown."""
    if value is None or isinstance(value, str | int):
        text = "" if value is None else str(value).strip()
        # As published, speaker 45 is 1234 years old: a slip of the pen, which would be an age to learn.
        if key == "age" and not (text.isdecimal() and int(text) in _AGES):
            return None
        return text or None
    raise TypeError(f"{key} is {value!r}")


def _spelt_alike(table: dict[str, dict[str, str | None]]) -> dict[str, dict[str, str]]:
    """Leave the unknown out, and give values that differ in case only their commonest spelling.

    As published there are "German" and "german", "vr-room" and "VR-Room": each would be a class of its own.
    """
    counts = Counter((key, value) for of in table.values() for key, value in of.items() if value is not None)
    commonest: dict[tuple[str, str], str] = {}
    for (key, value), _ in counts.most_common():
        commonest.setdefault((key, value.casefold()), value)
    return {
        speaker: {key: commonest[key, value.casefold()] for key, value in of.items() if value is not None}
        for speaker, of in table.items()
    }
