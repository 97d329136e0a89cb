"""What `submit` is about to do, on disk before it does it, so that a killed one can be finished without a guess."""

import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Literal, Self

from pipeline.delivery.terminal import note
from pipeline.errors import PipelineError
from pipeline.files import replacing
from pipeline.locks import held

# asked: nothing but an upload has happened. creating: a submission may have been made. made: it has a reference.
# told: it is in the ledger and the user knows of it; only its score is open.
State = Literal["asked", "creating", "made", "told"]

_ID = re.compile(r"\[([0-9a-f]{10})-[0-9a-f]{8}\]")


@dataclass(frozen=True)
class Job:
    """One submission under way. `id` stands in its description at Kaggle; `began` is when it was begun or, from the
    state `creating` on, when the creation was asked for (seconds since 1970). `target` is what the user named: a run or
    a file.

    `counted` and `listed` are how many submissions Kaggle counted and listed before this one was asked for.
    """

    id: str
    competition: str
    run: str
    sha256: str
    message: str
    time: str
    commit: str
    params: str
    state: State = "asked"
    began: float = 0.0
    counted: int = 0
    listed: int = 0
    ref: str = ""
    target: str = ""

    @property
    def mark(self) -> str:
        return f"[{self.id}]"


class Journal:
    """A folder with two files a job: what is known of it, and the very bytes that are submitted; or three, with their
    confusion matrix, for the day when the score is there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def alone(self) -> Iterator[Self]:
        """Hold the journal: another process waits here. The lock ends with the process, however that ends."""
        with held(self.folder / "lock", "Another submit", note):
            known = {job.id for job in self.jobs()}
            for path in self.folder.iterdir():  # what killed processes left
                if path.name.startswith(".") or (path.suffix in (".csv", ".png") and path.stem not in known):
                    path.unlink()
            yield self

    def jobs(self, competition: str | None = None) -> list[Job]:
        """Return the unfinished jobs, of one competition or all, oldest first.

        Raises PipelineError for a file that is none of ours.
        """
        found = [_read(path) for path in self.folder.glob("*.json") if not path.name.startswith(".")]
        asked = [job for job in found if competition in (None, job.competition)]
        return sorted(asked, key=lambda job: (job.time, job.id))

    def file(self, job: Job) -> Path:
        """Return the path of what is submitted."""
        return self.folder / f"{job.id}.csv"

    def picture(self, job: Job) -> Path:
        """Return the path of the confusion matrix of what is submitted; there may be none."""
        return self.folder / f"{job.id}.png"

    def open(self, job: Job, data: bytes, picture: bytes = b"") -> Job:
        """Write down a new job, the bytes that it will submit, and their confusion matrix, if there is one."""
        _write(self.file(job), data)
        if picture:
            _write(self.picture(job), picture)
        return self.note(job)

    def note(self, job: Job, **changes: object) -> Job:
        """Write down what has become of `job`, and return it."""
        job = replace(job, **changes)  # type: ignore[arg-type]
        _write(self.folder / f"{job.id}.json", (json.dumps(asdict(job), indent=2) + "\n").encode())
        return job

    def close(self, job: Job) -> None:
        """Forget a job of which nothing is left to do."""
        (self.folder / f"{job.id}.json").unlink(missing_ok=True)
        self.file(job).unlink(missing_ok=True)
        self.picture(job).unlink(missing_ok=True)


def new_id(sha256: str) -> str:
    """Return an id that tells the file, and this submission of it from any other."""
    return f"{sha256[:10]}-{secrets.token_hex(4)}"


def is_of(description: str, sha256: str) -> bool:
    """Say whether a description at Kaggle carries the id of a submission of this file."""
    found = _ID.search(description)
    return found is not None and sha256.startswith(found[1])


def has_id(description: str) -> bool:
    """Say whether a description at Kaggle carries the id of any submission of ours."""
    return _ID.search(description) is not None


def _write(path: Path, data: bytes) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    try:
        folder = os.open(path.parent, os.O_RDONLY)
    except PermissionError:
        return  # Windows opens no folder, and needs no call to keep a new name
    try:
        os.fsync(folder)  # the new name too must survive a power cut
    finally:
        os.close(folder)


def _read(path: Path) -> Job:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        values = {"target": "", **values}  # one of an earlier version has none
        return Job(**{field.name: values[field.name] for field in fields(Job)})
    except (ValueError, TypeError, KeyError) as error:
        raise PipelineError(
            f"{path} is no job of `submit` ({error!r}). Look whether Kaggle lists the submission,\n"
            "then delete the file."
        ) from None
