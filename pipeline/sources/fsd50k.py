"""FSD50K as published: clips of 0.3 to 30 s, 200 classes, several labels a clip (Fonseca et al., arXiv:2010.00475)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pipeline.clips.recording import Recording, Rejected
from pipeline.errors import PipelineError
from pipeline.settings import Settings
from pipeline.sources import SourceFile, archives
from pipeline.sources import _archive as archive
from pipeline.sources._csv_rows import csv_rows

Split = Literal["train", "validation", "holdout"]

_SPLITS: dict[str, Split] = {"train": "train", "val": "validation"}
_COLUMNS = {"dev": ["fname", "labels", "mids", "split"], "eval": ["fname", "labels", "mids"]}
_WHERE = "Get FSD50K from https://zenodo.org/record/4060432 and unpack it."


class Params(Settings):
    """`folder` holds FSD50K.dev_audio, FSD50K.ground_truth and, to have clips for testing, FSD50K.eval_audio."""

    folder: Path


def fetch(params: Params, seed: int) -> list[SourceFile]:
    """Find the files; nothing is downloaded. Raises PipelineError that lists everything that is missing."""
    truth = params.folder / "FSD50K.ground_truth"
    audio = {part: params.folder / f"FSD50K.{part}_audio" for part in _COLUMNS}
    # The ground truth always has eval.csv; whether the audio was fetched decides.
    parts = [part for part in _COLUMNS if part == "dev" or audio[part].is_dir()]
    tables = [truth / f"{name}.csv" for name in ("vocabulary", *parts)]
    missing = [f"  {path}" for path in tables if not path.is_file()]
    missing += [f"  {audio[part]}/*.wav" for part in parts if not any(audio[part].glob("*.wav"))]
    if missing:
        raise PipelineError("Not all files of FSD50K are there:\n" + "\n".join(missing) + f"\n{_WHERE}")
    return [archives.describe("train", path) for path in (*tables, *(audio[part] for part in parts))]


def read(files: list[SourceFile]) -> Iterator[Recording | Rejected]:
    """Stream the clips in the order of dev.csv and eval.csv, whole and as stored, with their labels as tags.

    Rejected are a row whose audio, labels or split are missing or unknown, and audio without a row. Raises
    PipelineError if a CSV is not as published.
    """
    paths = {Path(file.path).name: Path(file.path) for file in files}
    vocabulary = _vocabulary(paths["vocabulary.csv"])
    for part in _COLUMNS:
        folder = paths.get(f"FSD50K.{part}_audio")
        if folder is not None:
            yield from _clips(part, folder, paths[f"{part}.csv"], vocabulary)


def _clips(part: str, folder: Path, table: Path, vocabulary: frozenset[str]) -> Iterator[Recording | Rejected]:
    header, *rows = csv_rows(table) or [[]]
    if header != _COLUMNS[part]:
        raise PipelineError(
            f"{table}: the first line must be '{','.join(_COLUMNS[part])}'; found '{','.join(header)}'.\n{_WHERE}"
        )
    # A row's file is looked up among those that are there, so no name leads out of the folder.
    audio = dict(archive.files_below(folder))
    listed = set()
    for row in rows:
        name = f"{row[0]}.wav"
        listed.add(name)
        # eval.csv has no split.
        split = "holdout" if part == "eval" else _SPLITS.get(row[-1])
        tags = tuple(dict.fromkeys(label for label in row[1].split(",") if label)) if len(row) > 1 else ()
        unknown = [tag for tag in tags if tag not in vocabulary]
        if len(row) != len(header):
            reason = f"{table.name}: expected {len(header)} values in this row; found {len(row)}"
        elif name not in audio:
            reason = f"in {table.name}, but not in {folder.name}"
        elif not tags:
            reason = f"no labels in {table.name}"
        elif unknown:
            reason = f"labels that are not in vocabulary.csv: {', '.join(unknown)}"
        elif split is None:
            reason = f"split '{row[-1]}' in {table.name}; expected {' or '.join(_SPLITS)}"
        else:
            yield Recording("train", name, audio[name].read_bytes(), split=split, tags=tags)
            continue
        yield Rejected("train", name, reason)
    for name in audio:
        if name not in listed:
            yield Rejected("train", f"{folder.name}/{name}", f"not in {table.name}")


def _vocabulary(path: Path) -> frozenset[str]:
    """Return the labels in vocabulary.csv, which has no header: index, label, AudioSet's identifier."""
    rows = csv_rows(path)
    if not rows or any(len(row) != 3 for row in rows):
        raise PipelineError(f"{path} must have lines of index,label,mid and no header.\n{_WHERE}")
    return frozenset(row[1] for row in rows)
