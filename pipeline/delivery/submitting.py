"""One submission each, whatever goes wrong: a journal before every effect, a look at Kaggle's list before every repeat.

The only step that must not happen twice is CreateSubmission. Its description carries an id, so that Kaggle's list tells
whether a request without a reply has made a submission.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import Field

from pipeline.delivery import access, ledger
from pipeline.delivery.competition import Competition, Submission
from pipeline.delivery.journal import Job, Journal, is_of, new_id
from pipeline.delivery.kaggle_client import KaggleError, LongerThanNothing, Patience, Seconds, pause
from pipeline.errors import PipelineError
from pipeline.settings import Settings

# A count of Kaggle's that its list does not bear out is believed so long, and then thought to be someone else's.
_LIST_LAG_S = 900.0
_SLOWEST_POLL_S = 60.0
_LONGEST_MESSAGE = 200

Say = Callable[[str], None]
# Keeps a scored file under its score: (file, run, score).
Keep = Callable[[Path, str, str], object]


class Submit(Settings):
    """The section `submit`.

    `competition`: None takes that of the source, if it is `kaggle`, else the Speech Recognition Challenge. `lookups_s`:
    after a request that got no reply, the waits before each further look whether Kaggle lists it. `poll_s`: the first
    wait of `--wait`, which grows to a minute; `wait_limit_s`: how long it waits for the score in all.
    """

    competition: str | None = None
    patience: Patience = Patience()
    lookups_s: Annotated[tuple[Seconds, ...], Field(min_length=1)] = (3.0, 5.0, 10.0, 20.0, 30.0)
    poll_s: LongerThanNothing = 5.0
    wait_limit_s: LongerThanNothing = 1800.0


@dataclass(frozen=True)
class Candidate:
    """A valid file that is to be submitted; `note` is what its description says, beside run and id."""

    run: str
    data: bytes
    sha256: str
    note: str
    commit: str
    params: str


class Desk:
    """Where submissions are handed in. `say` tells the user what happens."""

    def __init__(
        self, competition: Competition, journal: Journal, ledger_path: Path, settings: Submit, keep: Keep, say: Say
    ) -> None:
        self._competition = competition
        self._journal = journal
        self._ledger = ledger_path
        self._settings = settings
        self._keep = keep
        self._say = say

    def submit(self, candidate: Candidate, force: bool, wait: bool) -> Job:
        """Make one submission of the candidate, or finish the one that an interrupted call began; return its job.

        With `wait`, a file that still waits for its score is not submitted again, even by `force` in the first quarter
        of an hour.

        Raises PipelineError, with nothing submitted, for a file that was submitted before (unless `force`) and where
        no submission is left; KaggleError where Kaggle fails. Whatever was begun is finished by the next call.
        """
        with self._journal.alone():
            listed = self._competition.submissions()
            limits = self._competition.limits()
            for job in self._jobs():
                if job.state == "creating":
                    job = self._settle(job, listed, self._settings.lookups_s if self._is_recent(job) else ())
                if job.state == "made":
                    ledger.append(self._ledger, _row(job))
                    if _same(job, candidate):
                        self._say(f"An interrupted call had submitted this file already (ref {job.ref}).")
                        return self._journal.note(job, state="told")
                    self._journal.note(job, state="told")
                elif job.state == "asked" and job.run == candidate.run and not _same(job, candidate):
                    self._say("An earlier submit was interrupted before Kaggle had its file, which has changed since.")
                    self._journal.close(job)
                elif job.state == "asked" and not _same(job, candidate):
                    self._say(
                        f"The submit of '{job.run}' of {job.time} was interrupted; `submit {job.run}` finishes it."
                    )
            open_jobs = [job for job in self._jobs() if _same(job, candidate)]
            begun = next((job for job in open_jobs if job.state == "asked"), None)
            known = next((job for job in open_jobs if not force or self._is_recent(job)), None)
            if begun is None and wait and known is not None:  # an interrupted wait goes on
                self._say(f"This file is submitted already (ref {known.ref}).")
                return known
            access.require_one_left(self._competition, limits)
            if not force:
                self._refuse_known(candidate, listed)
            if begun is None:
                begun = self._journal.open(self._job(candidate), candidate.data)
            job = self._create(begun, limits.total, len(listed))
            ledger.append(self._ledger, _row(job))
            return self._journal.note(job, state="told")

    def wait(self, job: Job) -> ledger.Row:
        """Ask for the score until it is there, and return the row. Raises PipelineError if it takes too long.

        The row's status tells whether the scoring failed.
        """
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
            row = next((row for row in rows if row.ref == job.ref), None)
            if row is not None and row.status != "pending":
                return row
            if time.monotonic() + poll_s > end:
                raise PipelineError(
                    f"Kaggle has not scored it within {self._settings.wait_limit_s:.0f} s. It is submitted "
                    f"(ref {job.ref}): nothing is lost.\nFor the score, later: python -m pipeline submissions"
                )
            self._say(f"ref {job.ref}: waiting for the score")
            time.sleep(poll_s)
            poll_s = min(poll_s * 1.5, max(_SLOWEST_POLL_S, self._settings.poll_s))

    def sync(self, listed: Sequence[Submission]) -> list[ledger.Row]:
        """Bring the ledger up to date with Kaggle's list, keep what has a score, and return the rows of Kaggle.

        To be called while the journal is held (`Journal.alone`).
        """
        rows = {row.ref: row for row in ledger.read(self._ledger) if row.scoreboard == ledger.KAGGLE and row.ref}
        jobs = self._jobs()
        for one in reversed(listed):
            job = next((job for job in jobs if job.ref == one.ref or job.mark in one.description), None)
            if job is not None and not job.ref:
                job = self._journal.note(job, state="told", ref=one.ref)
                jobs = self._jobs()
            row = rows.get(one.ref) or (_row(job) if job else _foreign(one))
            rows[one.ref] = replace(
                row,
                time=row.time or one.time,
                public=one.public or row.public,
                private=one.private or row.private,
                status=one.status,
                message=one.description,
                reason=one.reason,
            )
        ledger.record(self._ledger, list(rows.values()))
        for job in jobs:
            scored = rows.get(job.ref)
            if scored is None or scored.status == "pending":
                continue
            if score := scored.private or scored.public:
                self._keep(self._journal.file(job), job.run, score)
            self._journal.close(job)  # last: until then all of this may be done again
        return list(rows.values())

    def _is_recent(self, job: Job) -> bool:
        """Say whether a submission of the job may still be on its way into the list."""
        return time.time() - job.began < _LIST_LAG_S

    def _jobs(self) -> list[Job]:
        return [job for job in self._journal.jobs() if job.competition == self._competition.slug]

    def _job(self, candidate: Candidate) -> Job:
        identity = new_id(candidate.sha256)
        note = " ".join(f"{candidate.run} | {candidate.note}".split())
        return Job(
            identity,
            self._competition.slug,
            candidate.run,
            candidate.sha256,
            f"{note[:_LONGEST_MESSAGE]} | [{identity}]",
            datetime.now(UTC).isoformat(timespec="seconds"),
            candidate.commit,
            candidate.params,
            began=time.time(),
        )

    def _refuse_known(self, candidate: Candidate, listed: Sequence[Submission]) -> None:
        earlier = [
            f"ref {row.ref}, {row.time}, {row.status}"
            for row in ledger.read(self._ledger)
            if row.scoreboard == ledger.KAGGLE and row.sha256 == candidate.sha256
        ] or [f"ref {one.ref}, {one.time}, {one.status}" for one in listed if is_of(one.description, candidate.sha256)]
        if earlier:
            raise PipelineError(
                f"The very same file was submitted before ({earlier[-1]}); nothing was uploaded.\n"
                "See its score with `python -m pipeline submissions`; to spend a submission on it again, add --force."
            )

    def _create(self, job: Job, counted: int, listed: int) -> Job:
        """Upload and create; return the job with its reference. Never creates before it knows that nothing is there."""
        patience = self._settings.patience
        token = self._competition.upload(self._journal.file(job))
        attempt = 1
        while True:
            job = self._journal.note(job, state="creating", began=time.time(), counted=counted, listed=listed)
            try:
                return self._journal.note(job, state="made", ref=self._competition.create(token, job.message))
            except KaggleError as error:
                if error.refused and not error.passing:
                    self._journal.close(job)
                    raise
                self._say(f"{str(error).splitlines()[0]} Looking whether Kaggle has the submission.")
                job = self._settle(job, (), () if error.refused else self._settings.lookups_s)
                if job.state == "made":
                    self._say(f"It has: ref {job.ref}.")
                    return job
                if attempt >= patience.attempts:
                    raise
                pause(error, attempt, patience)
                attempt += 1

    def _settle(self, job: Job, listed: Sequence[Submission], waits: Sequence[float]) -> Job:
        """Find out whether a job in the state `creating` has made a submission: then `made`, else `asked` again.

        `listed` may be what Kaggle lists now. A new submission may take a while to be listed, so it is looked for again
        after each of the `waits`. Raises KaggleError if it cannot be found out now; the job stays as it is.
        """
        try:
            for wait_s in (0.0, *waits):
                time.sleep(wait_s)
                listed = listed if listed and not wait_s else self._competition.submissions()
                if found := next((one for one in listed if job.mark in one.description), None):
                    return self._journal.note(job, state="made", ref=found.ref)
            unlisted = self._competition.limits().total - job.counted - (len(listed) - job.listed)
        except KaggleError as error:
            raise KaggleError(
                f"{error}\nIt is not known whether Kaggle has the submission of '{job.run}'. Run the same command "
                "again:\nit looks for it first, and submits only if it is not there.",
                status=error.status,
            ) from None
        if unlisted > 0 and waits and self._is_recent(job):
            raise KaggleError(
                f"Kaggle counts a submission that it does not list yet, perhaps that of '{job.run}'. Run the same\n"
                "command again in some minutes: it looks for it first, and submits only if it is not there."
            )
        return self._journal.note(job, state="asked")


def _same(job: Job, candidate: Candidate) -> bool:
    return job.run == candidate.run and job.sha256 == candidate.sha256


def _row(job: Job) -> ledger.Row:
    return ledger.Row(
        job.time,
        job.run,
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
