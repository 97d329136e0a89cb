"""AudioSet's embeddings as published: 128 bytes a second, up to ten seconds a clip, several labels a clip, no audio.

Gemmeke et al., "Audio Set: An ontology and human-labeled dataset for audio events", ICASSP 2017.
"""

import hashlib
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from pipeline.clips.recording import Recording, Rejected
from pipeline.errors import PipelineError
from pipeline.settings import Settings
from pipeline.sources import SourceFile, archives
from pipeline.sources import _archive as archive
from pipeline.sources import _sequence_example as sequence_example
from pipeline.sources import _tfrecord as tfrecord
from pipeline.sources._csv_rows import csv_rows

SECONDS, DIMENSIONS = 10, 128

_EMBEDDINGS = "audioset_v1_embeddings"
_LABELS = "class_labels_indices.csv"
_VIDEO_ID = re.compile(r"[A-Za-z0-9_-]+")


class Params(Settings):
    """`folder` holds the folders of `sets`, or `audioset_v1_embeddings` with them.

    `labels` is `class_labels_indices.csv` (index, mid, display_name); without it, that file in `folder`.
    """

    folder: Path
    sets: Annotated[tuple[Literal["bal_train", "unbal_train", "eval"], ...], Field(min_length=1)] = (
        "bal_train",
        "eval",
    )
    labels: Path | None = None


class _UnusableRecord(Exception):  # noqa: N818 (it names a finding about one record)
    """The text is the reason."""


def fetch(params: Params, seed: int) -> list[SourceFile]:
    """Find the files; nothing is downloaded. Raises PipelineError that lists everything that is missing."""
    root = params.folder / _EMBEDDINGS
    root = root if root.is_dir() else params.folder
    labels = params.labels or params.folder / _LABELS
    folders = [root / name for name in dict.fromkeys(params.sets)]
    missing = [f"  {folder}/*.tfrecord" for folder in folders if not any(folder.glob("*.tfrecord"))]
    if not labels.is_file():
        missing.append(f"  {labels} (download.labels)")
    if missing:
        raise PipelineError(
            "Not all files of AudioSet are there (download.folder, download.sets):\n" + "\n".join(missing) + "\n"
            "https://research.google.com/audioset/download.html links to both: the features (features.tar.gz, 2.4 GB;\n"
            f"unpack it) and {_LABELS}."
        )
    _display_names(labels)
    return [archives.describe("train", path) for path in (labels, *folders)]


def read(files: list[SourceFile]) -> Iterator[Recording | Rejected]:
    """Stream the clips, each with its embedding, uint8 [10, 128], its tags, and its length as `seconds`.

    `eval` is the testing split. A fifth of the videos of the other sets, chosen by a hash of the video's identifier,
    validates. A record that cannot be used is rejected with its file and its number, from 1. Raises PipelineError if a
    file cannot be read.
    """
    labels, *folders = (Path(file.path) for file in files)
    names = _display_names(labels)
    for folder in folders:
        for name, path in archive.files_below(folder):
            if not name.endswith(".tfrecord"):
                yield Rejected("train", f"{folder.name}/{name}", "no .tfrecord file")
                continue
            for number, record in enumerate(tfrecord.records(path), 1):
                try:
                    yield _recording(record, names, folder.name)
                except (_UnusableRecord, sequence_example.MalformedMessage) as error:
                    yield Rejected("train", f"{folder.name}/{name}, record {number}", str(error))


def _display_names(path: Path) -> dict[int, str]:
    header, *rows = csv_rows(path) or [[]]
    names = {int(row[0]): row[2] for row in rows if len(row) == 3 and row[0].isdecimal() and row[2]}
    if header != ["index", "mid", "display_name"] or not rows or len(names) < len(rows):
        raise PipelineError(
            f"{path} must have the columns index,mid,display_name, each index once; its first line is "
            f"'{','.join(header)}'.\nGet it anew: https://research.google.com/audioset/download.html"
        )
    return names


def _recording(record: bytes | tfrecord.DamagedRecord, names: dict[int, str], set_name: str) -> Recording:
    """Return the clip in a record; raise _UnusableRecord or MalformedMessage."""
    if isinstance(record, tfrecord.DamagedRecord):
        raise _UnusableRecord(record.reason)
    message = sequence_example.parse(record)
    context = message.context.feature
    video = b" ".join(context["video_id"].bytes_list.value).decode("ascii", "replace")
    starts = list(context["start_time_seconds"].float_list.value)
    if not _VIDEO_ID.fullmatch(video) or len(starts) != 1 or not math.isfinite(starts[0]):
        raise _UnusableRecord(f"video_id is '{video}', start_time_seconds {starts}: expected one of each")
    indices = dict.fromkeys(context["labels"].int64_list.value)
    if not indices:
        raise _UnusableRecord("no labels")
    if unknown := [index for index in indices if index not in names]:
        raise _UnusableRecord(f"labels {unknown} are not in {_LABELS}")
    frames = [frame.bytes_list.value for frame in message.feature_lists.feature_list["audio_embedding"].feature]
    lengths = sorted({len(value) for values in frames for value in values})
    if not 1 <= len(frames) <= SECONDS or any(len(values) != 1 for values in frames) or lengths != [DIMENSIONS]:
        raise _UnusableRecord(
            f"embedding of {len(frames)} seconds with {lengths} bytes; expected 1 to {SECONDS} of {DIMENSIONS}"
        )
    start = f"{starts[0]:.3f}".rstrip("0").rstrip(".")
    return Recording(
        "train",
        f"{video}_{start}",
        split="holdout" if set_name == "eval" else _split_of(video),
        tags=tuple(names[index] for index in indices),
        metadata={"seconds": str(len(frames))},
        embedding=_ten_seconds(np.frombuffer(b"".join(values[0] for values in frames), np.uint8)),
    )


def _ten_seconds(frames: np.ndarray) -> np.ndarray:
    """Return uint8 [10, 128]: the clip's own seconds, from the start again where it has fewer than ten.

    Every second then is one that was heard and that the clip's labels hold for. Zeros would be the lowest value of all
    128 components at once, a sound that no clip has, and tell the net how long the clip is.
    """
    seconds = frames.reshape(-1, DIMENSIONS)
    return seconds[np.arange(SECONDS) % len(seconds)]


def _split_of(video: str) -> Literal["train", "validation"]:
    """Return a split that only the video decides, so that no two clips of one are parted: 4/5 train, 1/5 validates."""
    return "validation" if int(hashlib.sha256(video.encode()).hexdigest(), 16) % 5 == 0 else "train"
