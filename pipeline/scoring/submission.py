"""The competition's file: `fname,label`, one row a test clip, in the order of the sample submission."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.files import replacing
from pipeline.scoring.inspection import COLUMNS, inspect, read


def read_sample(path: Path) -> list[str]:
    """Return the names of the test clips in the order that the competition wants them.

    Only the column `fname`, the first, counts. Raises PipelineError if the file is missing or has no such column.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file) if row]
    except FileNotFoundError:
        raise PipelineError(f"There is no {path}. Run `dvc repro`.") from None
    except UnicodeDecodeError as error:
        raise PipelineError(f"{path} is not UTF-8: {error}") from None
    except OSError as error:
        raise PipelineError(f"{path} cannot be read: {error.strerror}.") from None
    if not rows or rows[0][0] != COLUMNS[0]:
        raise PipelineError(f"{path} must begin with the column fname; found {rows[0] if rows else 'nothing'}.")
    return [row[0] for row in rows[1:]]


def text(path: Path, predicted: Mapping[str, str], sample: Sequence[str], labels: Sequence[str]) -> str:
    """Return what a submission at `path` holds, lines ended by a newline.

    Raises PipelineError unless `predicted` has exactly the clips of `sample`, and only labels of `labels`.
    """
    missing = sorted(set(sample) - predicted.keys())
    if missing:
        raise PipelineError(f"{path} lacks {len(missing)} clips of the sample submission: {_few(missing)}")
    extra = sorted(predicted.keys() - set(sample))
    if extra:
        raise PipelineError(f"{path} has {len(extra)} clips that the sample submission has not: {_few(extra)}")
    strange = sorted(set(predicted.values()) - set(labels))
    if strange:
        raise PipelineError(
            f"{path} has labels that the competition has not: {_few(strange)}. It has: {', '.join(labels)}"
        )
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((name, predicted[name]) for name in sample)
    return file.getvalue()


def write(path: Path, predicted: Mapping[str, str], sample: Sequence[str], labels: Sequence[str]) -> None:
    """Write the submission atomically, UTF-8. Raises PipelineError as `text` does."""
    content = text(path, predicted, sample, labels)
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode())


def check(path: Path, sample: Sequence[str], labels: Sequence[str]) -> dict[str, str]:
    """Return label by clip. Raises PipelineError that lists what `inspection.inspect` finds wrong, if anything."""
    findings = inspect(read(path), sample, labels)
    if findings.problems:
        raise PipelineError(f"{path} is no valid submission:\n{findings.report()}")
    return findings.labels


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
