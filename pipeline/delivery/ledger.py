"""submissions/ledger.csv: one row for each scored submission, whoever scored it. Rows are only ever added."""

import csv
import io
import os
import subprocess
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from filelock import FileLock

from pipeline.errors import PipelineError
from pipeline.files import replacing

# What decides the labels of a submission, beside the parameters.
CODE = ("pipeline", "requirements.txt", "dvc.yaml")


@dataclass(frozen=True)
class Row:
    """One line of the ledger; the fields are its columns, all text.

    `time` is ISO 8601 in UTC; `public` and `private` have five decimals, or are empty where unknown; `sha256` is of the
    submission file, `params` of the parameters that made it, `commit` of Git's tree (empty without Git).
    """

    time: str
    run: str
    scoreboard: str
    public: str
    private: str
    sha256: str
    commit: str
    params: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What makes a row one of its own: scoring the same file on the same scoreboard again adds none."""
        return self.run, self.scoreboard, self.sha256, self.params


COLUMNS = [field.name for field in fields(Row)]


def read(path: Path) -> list[Row]:
    """Return the rows, oldest first; none where there is no ledger yet.

    Raises PipelineError if the file has other columns, or a line of another length.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = [line for line in csv.reader(file) if line]
    except FileNotFoundError:
        return []
    if not lines or lines[0] != COLUMNS:
        raise PipelineError(
            f"{path} must begin with the line '{','.join(COLUMNS)}'; found '{','.join(lines[0]) if lines else ''}'. "
            "Repair the line, or move the file away: a new one is begun then."
        )
    for line in lines[1:]:
        if len(line) != len(COLUMNS):
            raise PipelineError(f"{path}: expected {len(COLUMNS)} fields, found {len(line)} in: {','.join(line)}")
    return [Row(*line) for line in lines[1:]]


def append(path: Path, row: Row) -> bool:
    """Add `row` unless one with its key is there; return whether it was added.

    The bytes of the other rows stay as they are. A process killed at any moment leaves the old file or the new one,
    and two at once wait for each other. Raises PipelineError as `read` does.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # A file of its own is locked, since the ledger is replaced; it stays, and the lock ends with the process.
    with FileLock(path.with_name(f".{path.stem}.lock")):
        for leftover in path.parent.glob(f".{path.stem}.*.part{path.suffix}"):
            leftover.unlink()  # of a killed process, since no other is at work
        if any(row.key == other.key for other in read(path)):
            return False
        before = path.read_bytes() if path.exists() else (",".join(COLUMNS) + "\n").encode()
        if not before.endswith(b"\n"):
            before += b"\n"
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(astuple(row))
        with replacing(path) as temporary, temporary.open("wb") as file:
            file.write(before + line.getvalue().encode())
            file.flush()
            os.fsync(file.fileno())
    return True


def commit_of(root: Path) -> str:
    """Return the commit checked out in `root`, with `-dirty` where code differs from it; "" without Git."""
    head = _git(root, "rev-parse", "HEAD")
    if not head:
        return ""
    return head + ("-dirty" if _git(root, "--no-optional-locks", "status", "--porcelain", "--", *CODE) else "")


def _git(root: Path, *words: str) -> str:
    try:
        return subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (FileNotFoundError, subprocess.CalledProcessError):
        return ""
