"""The competition's file: `fname,label`, one row a test clip, in the order of the sample submission."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.files import replacing

COLUMNS = ["fname", "label"]


def read_sample(path: Path) -> list[str]:
    """Return the names of the test clips in the order that the competition wants them.

    Only the column `fname`, the first, counts. Raises PipelineError if the file is missing or has no such column.
    """
    rows = _lines(path)
    if not rows or rows[0][0] != COLUMNS[0]:
        raise PipelineError(f"{path} must begin with the column fname; found {rows[0] if rows else 'nothing'}.")
    return [row[0] for row in rows[1:]]


def write(path: Path, predicted: Mapping[str, str], sample: Sequence[str], labels: Sequence[str]) -> None:
    """Write the submission atomically, UTF-8, lines ended by a newline.

    Raises PipelineError unless `predicted` has exactly the clips of `sample`, and only labels of `labels`.
    """
    wanted = set(sample)
    names = [*(name for name in sample if name in predicted), *(name for name in predicted if name not in wanted)]
    _check(path, names, list(predicted.values()), sample, labels)
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows((name, predicted[name]) for name in sample)


def check(path: Path, sample: Sequence[str], labels: Sequence[str]) -> dict[str, str]:
    """Return label by clip.

    Raises PipelineError unless the file has every row of the sample, in its order, with labels of `labels`.
    """
    rows = _rows(path)
    _check(path, [name for name, _ in rows], [label for _, label in rows], sample, labels)
    return dict(rows)


def _check(path: Path, names: list[str], given: list[str], sample: Sequence[str], labels: Sequence[str]) -> None:
    missing = sorted(set(sample) - set(names))
    if missing:
        raise PipelineError(f"{path} lacks {len(missing)} clips of the sample submission: {_few(missing)}")
    extra = sorted(set(names) - set(sample))
    if extra:
        raise PipelineError(f"{path} has {len(extra)} clips that the sample submission has not: {_few(extra)}")
    if names != list(sample):
        raise PipelineError(f"{path} has the clips of the sample submission in another order, or some of them twice.")
    strange = sorted(set(given) - set(labels))
    if strange:
        raise PipelineError(
            f"{path} has labels that the competition has not: {_few(strange)}. It has: {', '.join(labels)}"
        )


def _lines(path: Path) -> list[list[str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [row for row in csv.reader(file) if row]
    except FileNotFoundError:
        raise PipelineError(f"There is no {path}. Run `dvc repro`.") from None
    except UnicodeDecodeError as error:
        raise PipelineError(f"{path} is not UTF-8: {error}") from None


def _rows(path: Path) -> list[tuple[str, str]]:
    rows = _lines(path)
    if not rows or rows[0] != COLUMNS:
        raise PipelineError(
            f"{path} must begin with the line '{','.join(COLUMNS)}'; found {rows[0] if rows else 'nothing'}."
        )
    wrong = next((number for number, row in enumerate(rows, 1) if len(row) != len(COLUMNS)), None)
    if wrong:
        raise PipelineError(f"{path}, line {wrong}: expected a clip and a label, found {rows[wrong - 1]}.")
    return [(name, label) for name, label in rows[1:]]


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
