"""submissions/ledger.csv: one row for each scored or submitted file, whoever scored it. No row is ever removed."""

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

from pipeline.delivery.terminal import note
from pipeline.errors import PipelineError
from pipeline.files import replacing
from pipeline.locks import held

KAGGLE = "kaggle"


@dataclass(frozen=True)
class Row:
    """One line of the ledger; the fields are its columns, all text.

    `time` is ISO 8601 in UTC; `public` and `private` have five decimals, or are empty where unknown; `sha256` is of the
    submission file, `params` of the parameters that made it, `commit` of Git's tree (empty without Git).

    Only rows of the scoreboard `kaggle` have the rest: `ref` is Kaggle's number of the submission, `status` pending,
    complete or error, `message` its description there, `reason` why the scoring failed. What was submitted elsewhere
    has neither `sha256`, `commit` nor `params`.
    """

    time: str
    run: str
    scoreboard: str
    public: str
    private: str
    sha256: str
    commit: str
    params: str
    ref: str = ""
    status: str = ""
    message: str = ""
    reason: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """What makes a row one of its own: Kaggle's number, or scoring a file of these parameters on a scoreboard."""
        if self.ref:
            return self.scoreboard, self.ref
        return self.run, self.scoreboard, self.sha256, self.params

    def made_as(self, other: "Row | None") -> "Row":
        """Return this row, with what made its file as `other` has it, if this one does not know its file."""
        if other is None or self.sha256 or not other.sha256:
            return self
        return replace(self, run=other.run, sha256=other.sha256, commit=other.commit, params=other.params)


COLUMNS = [field.name for field in fields(Row)]
# Before submissions were recorded; such a ledger gets the other columns with the next row.
OLD_COLUMNS = COLUMNS[: COLUMNS.index("ref")]


def read(path: Path) -> list[Row]:
    """Return the rows, oldest first; none where there is no ledger yet.

    Raises PipelineError if the file has other columns, or a line of another length.
    """
    return [row for _, row in _records(path)]


def submissions(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of Kaggle, each submission once: Git's merge may have kept the lines of two clones, of which only
    one knows what made the file.
    """
    found: dict[str | int, Row] = {}
    for number, row in enumerate(rows):
        if row.scoreboard == KAGGLE:
            key = row.ref or number
            found[key] = row.made_as(found.get(key))
    return list(found.values())


def append(path: Path, row: Row) -> bool:
    """Add `row` unless one with its key is there; return whether it was added.

    The bytes of the other rows stay as they are. A process killed at any moment leaves the old file or the new one,
    and two at once wait for each other. Raises PipelineError as `read` does.
    """
    return bool(_write(path, [row], overwrite=False))


def record(path: Path, rows: Sequence[Row]) -> int:
    """Add each row, or put it in the place of those with its key; return how many lines are new or changed.

    Otherwise as `append`.
    """
    return _write(path, rows, overwrite=True)


def _write(path: Path, rows: Sequence[Row], overwrite: bool) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    # A file of its own is locked, since the ledger is replaced.
    with held(path.with_name(f".{path.stem}.lock"), "Another change of the ledger", note):
        for leftover in path.parent.glob(f".{path.stem}.*.part{path.suffix}"):
            leftover.unlink()  # of a killed process, since no other is at work
        records = _records(path)
        places: dict[tuple[str, ...], list[int]] = {}
        for number, (_, row) in enumerate(records):
            places.setdefault(row.key, []).append(number)
        changed = 0
        for row in rows:
            if row.key not in places:
                places[row.key] = [len(records)]
                records.append((_line(astuple(row)), row))
                changed += 1
            elif overwrite:
                for at in (at for at in places[row.key] if records[at][1] != row):
                    records[at] = (_line(astuple(row)), row)
                    changed += 1
        if changed:
            text = ",".join(COLUMNS) + "\n" + "".join(line for line, _ in records)
            with replacing(path) as temporary, temporary.open("wb") as file:
                file.write(text.encode(errors="replace"))  # rather than lose a submission that is made
                file.flush()
                os.fsync(file.fileno())
    return changed


def _records(path: Path) -> list[tuple[str, Row]]:
    """Return each row with the very text of its line; lines of an older ledger are written anew, with all columns."""
    try:
        text = path.read_bytes().decode("utf-8-sig")  # a spreadsheet begins it with a mark
    except FileNotFoundError:
        return []
    except UnicodeDecodeError as error:
        raise PipelineError(f"{path} is not UTF-8: {error}. Save it as UTF-8.") from None
    lines = list(io.StringIO(text, newline=""))
    reader = csv.reader(lines)
    records: list[tuple[str, Row]] = []
    columns: list[str] = []
    held, done = "", 0
    for number, values in enumerate(reader):
        held += "".join(lines[done : reader.line_num])
        done = reader.line_num
        if number == 0:
            columns, held = values, ""
            if columns not in (COLUMNS, OLD_COLUMNS):
                break
        elif values:  # a blank line stays before the row that follows it
            if len(values) != len(columns):
                raise PipelineError(
                    f"{path}: expected {len(columns)} fields, found {len(values)} in: {','.join(values)}"
                )
            line = held if held.endswith("\n") else held + "\n"
            records.append((line if columns == COLUMNS else _line([*values, "", "", "", ""]), Row(*values)))
            held = ""
    if columns not in (COLUMNS, OLD_COLUMNS):
        raise PipelineError(
            f"{path} must begin with the line '{','.join(COLUMNS)}'; found '{','.join(columns)}'. "
            "Repair the line, or move the file away: a new one is begun then."
        )
    return records


def _line(values: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue()
