"""What Kaggle made of the submissions: waited for, written into the ledger, the files kept under their scores."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.delivery import ledger
from pipeline.delivery.competition import Competition, Submission
from pipeline.delivery.journal import Job, Journal
from pipeline.delivery.kaggle_errors import KaggleError
from pipeline.delivery.masking import printable
from pipeline.delivery.settings import Submit
from pipeline.errors import PipelineError

_SLOWEST_POLL_S = 60.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Scored:
    """A file with a score. `file` and `picture` are where it lies if it is not kept yet, else None."""

    run: str
    score: str
    sha256: str
    file: Path | None = None
    picture: Path | None = None


Keep = Callable[[Scored], object]


class Scores:
    """Brings the scores from Kaggle's list. `keep` keeps a scored file under its score; `say` tells the user."""

    def __init__(
        self, competition: Competition, journal: Journal, ledger_path: Path, settings: Submit, keep: Keep, say: Say
    ) -> None:
        self._competition = competition
        self._journal = journal
        self._ledger = ledger_path
        self._settings = settings
        self._keep = keep
        self._say = say

    def wait(self, ref: str) -> ledger.Row:
        """Ask for the score of a submission until it is there, and return the row. Raises PipelineError if it takes
        too long.

        The row's status tells whether the scoring failed.
        """
        try:
            return self._wait(ref)
        except KeyboardInterrupt:
            self._say(f"No longer waiting. It is submitted (ref {ref}). For the score: python -m pipeline submissions")
            raise

    def _wait(self, ref: str) -> ledger.Row:
        end = time.monotonic() + self._settings.wait_limit_s
        poll_s = self._settings.poll_s
        while True:
            try:
                listed = self._competition.submissions()
            except KaggleError as error:
                if not error.passing:
                    raise
                self._say(f"Still waiting. {error}".splitlines()[0])
                listed = []
            with self._journal.alone():
                rows = self.sync(listed)
            row = next((row for row in rows if row.ref == ref), None)
            if row is not None and row.status != "pending":
                return row
            if time.monotonic() + poll_s > end:
                raise PipelineError(
                    f"Kaggle has not scored it within {self._settings.wait_limit_s:.0f} s. It is submitted "
                    f"(ref {ref}): nothing is lost.\nFor the score, later: python -m pipeline submissions"
                )
            self._say(f"ref {ref}: waiting for the score")
            time.sleep(poll_s)
            poll_s = min(poll_s * 1.5, max(_SLOWEST_POLL_S, self._settings.poll_s))

    def sync(self, listed: Sequence[Submission]) -> list[ledger.Row]:
        """Bring the ledger up to date with Kaggle's list, keep what has a score, and return the rows of Kaggle.

        A file that is kept already is renamed when its score changes, as when the private one is revealed. To be
        called while the journal is held (`Journal.alone`).
        """
        rows = {row.ref: row for row in ledger.submissions(ledger.read(self._ledger)) if row.ref}
        jobs = self._journal.jobs(self._competition.slug)
        for one in reversed(listed):
            job = next((job for job in jobs if job.ref == one.ref or job.mark in one.description), None)
            if job is not None and not job.ref:
                job = self._journal.note(job, state="told", ref=one.ref)
                jobs = self._journal.jobs(self._competition.slug)
            row = rows.get(one.ref) or (row_of(job) if job else _foreign(one))
            rows[one.ref] = replace(
                row,
                time=row.time or one.time,
                public=one.public or row.public,
                private=one.private or row.private,
                status=one.status,
                message=one.description,
                reason=one.reason,
            )
        own = {job.ref: job for job in jobs if job.ref}
        for ref in own.keys() & rows.keys():
            rows[ref] = rows[ref].made_as(row_of(own[ref]))  # another clone's row, which Git's merge has brought
        ledger.record(self._ledger, list(rows.values()))
        for row in rows.values():
            job, score = own.get(row.ref), row.private or row.public
            if row.sha256 and score and row.status == "complete":
                file, picture = (self._journal.file(job), self._journal.picture(job)) if job else (None, None)
                self._keep(Scored(row.run, score, row.sha256, file, picture))
            if job and (row.status == "error" or (score and row.status == "complete")):
                self._journal.close(job)  # last: until then all of this may be done again
        return list(rows.values())


def row_of(job: Job) -> ledger.Row:
    """Return the row of a submission that has no score yet."""
    return ledger.Row(
        job.time,
        printable(job.run),  # as it will be read from the ledger
        ledger.KAGGLE,
        "",
        "",
        job.sha256,
        job.commit,
        job.params,
        job.ref,
        "pending",
        job.message,
    )


def _foreign(one: Submission) -> ledger.Row:
    """Return the row of a submission that is not in this journal; the run is told by a description of ours."""
    run, bar, _ = one.description.partition(" | ")
    name = run if bar and one.description.endswith("]") else one.file_name
    return ledger.Row(one.time, name, ledger.KAGGLE, "", "", "", "", "", one.ref, one.status, one.description)
