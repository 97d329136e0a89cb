"""One submission each, whatever goes wrong: a journal before every effect, a look at Kaggle's list before every repeat.

The only step that must not happen twice is CreateSubmission. Its description carries an id, so that Kaggle's list tells
whether a request without a reply has made a submission.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline.delivery import access, duplicates, ledger
from pipeline.delivery.competition import Competition, Submission
from pipeline.delivery.duplicates import Fingerprint
from pipeline.delivery.journal import Job, Journal, new_id
from pipeline.delivery.kaggle_client import retrying
from pipeline.delivery.kaggle_errors import KaggleError
from pipeline.delivery.masking import masked
from pipeline.delivery.scores import row_of
from pipeline.delivery.settings import Submit
from pipeline.errors import PipelineError

# Kaggle counts a submission before it lists it. For so long after our request, one that is counted and not listed may
# be ours; later it is taken for somebody else's.
_LIST_LAG_S = 900.0
_LONGEST_MESSAGE = 200

Say = Callable[[str], None]
Ask = Callable[[str], bool]


@dataclass(frozen=True)
class Candidate:
    """A valid file that is to be submitted; `note` is what its description says, beside run and id.

    `target` is what the user called it, the run or the file; `picture` its confusion matrix, empty without one.
    """

    run: str
    data: bytes
    file: Fingerprint
    note: str
    commit: str
    params: str
    target: str
    picture: bytes = b""


class Submitter:
    """Makes submissions. `say` tells the user what happens; `ask` puts a question of yes or no."""

    def __init__(
        self, competition: Competition, journal: Journal, ledger_path: Path, settings: Submit, say: Say, ask: Ask
    ) -> None:
        self._competition = competition
        self._journal = journal
        self._ledger = ledger_path
        self._settings = settings
        self._say = say
        self._ask = ask

    def submit(self, candidate: Candidate, force: bool, wait: bool) -> str:
        """Make one submission of the candidate, or finish the one that an interrupted call began; return Kaggle's ref.

        With `wait`, a file that was submitted is not submitted again but its reference returned; even with `force`, as
        long as it waits for its score, in the first quarter of an hour.

        Raises PipelineError, with nothing submitted, for a file that was or may have been submitted before (unless
        `force`), where no submission is left, or where the ledger cannot be read; KaggleError where Kaggle fails.
        Whatever was begun is finished by the next call.
        """
        with self._journal.alone():
            try:
                return self._submit(candidate, force, wait)
            except KeyboardInterrupt:
                self._say(self._state_of(candidate))
                raise

    def _submit(self, candidate: Candidate, force: bool, wait: bool) -> str:
        rows = ledger.read(self._ledger)
        listed = self._competition.submissions()
        limits = self._competition.limits()
        if finished := self._finish_interrupted(candidate, listed):
            return finished
        open_jobs = [job for job in self._journal.jobs(self._competition.slug) if _same(job, candidate)]
        begun = next((job for job in open_jobs if job.state == "asked"), None)
        if begun is not None and not force and duplicates.certain(candidate.file, rows, listed):
            self._journal.close(begun)  # another clone has submitted the file meanwhile
            begun = None
        known = next((job.ref for job in open_jobs if job.ref and (not force or self._is_recent(job))), "")
        if begun is None and wait:
            if not force and not known:
                known = next((one.ref for one in duplicates.certain(candidate.file, rows, listed)), "")
            if known:  # an interrupted wait goes on
                self._say(f"This file is submitted already (ref {known}).")
                return known
        access.require_one_left(self._competition, limits)
        if not force:
            self._refuse_known(candidate, rows, listed)
            self._ask_about(duplicates.possible(candidate.file, rows, listed))
        if begun is None:
            begun = self._journal.open(self._job(candidate), candidate.data, candidate.picture)
        job = self._create(begun, limits.total, listed, None if force else candidate)
        return self._record(job, f"Submitted '{job.run}' to {job.competition}: ref {job.ref}, \"{job.message}\"")

    def _finish_interrupted(self, candidate: Candidate, listed: Sequence[Submission]) -> str:
        """Bring what earlier calls began to its end, and tell of it; return the reference if it was the candidate."""
        for job in self._journal.jobs(self._competition.slug):
            if job.state == "creating":
                job = self._settle(job, listed, self._settings.lookups_s if self._is_recent(job) else ())
            elif job.state == "asked" and (late := next((one for one in listed if job.mark in one.description), None)):
                job = self._journal.note(
                    job, state="made", ref=late.ref
                )  # the list was slow, and it is there after all
            if job.state == "made":
                what = "this file" if _same(job, candidate) else f"another file of '{job.run}'"
                ref = self._record(job, f"An interrupted call had submitted {what} already (ref {job.ref}).")
                if _same(job, candidate):
                    return ref
            elif job.state == "asked" and job.run == candidate.run and not _same(job, candidate):
                self._say("An earlier submit was interrupted before Kaggle had its file, which has changed since.")
                self._journal.close(job)
            elif job.state == "asked" and not _same(job, candidate):
                self._say(interrupted(job))
        return ""

    def _record(self, job: Job, text: str) -> str:
        """Say that a submission was spent, before anything else can go wrong, and write it down."""
        self._say(text)
        try:
            ledger.append(self._ledger, row_of(job))
        except (PipelineError, OSError) as error:
            raise PipelineError(
                f"{error}\nThe submission is made (ref {job.ref}), but not in the ledger yet. Mend that, and it is "
                "written down by: python -m pipeline submissions"
            ) from None
        return self._journal.note(job, state="told").ref

    def _state_of(self, candidate: Candidate) -> str:
        """Say what has become of the candidate when the user stops the call."""
        job = next((job for job in reversed(self._journal.jobs(self._competition.slug)) if _same(job, candidate)), None)
        if job is not None and job.ref:
            return f"Interrupted. The file is submitted (ref {job.ref})."
        if job is not None and job.state == "creating":
            return (
                "Interrupted while Kaggle was asked for the submission: it may have been made. The same command\n"
                "looks for it first, and submits only if it is not there."
            )
        return "Interrupted. Nothing was submitted; the same command starts again."

    def _is_recent(self, job: Job) -> bool:
        """Say whether a submission of the job may still be on its way into the list."""
        return time.time() - job.began < _LIST_LAG_S

    def _job(self, candidate: Candidate) -> Job:
        identity = new_id(candidate.file.sha256)
        note = " ".join(masked(" | ".join(filter(None, (candidate.run, candidate.note)))).split())
        return Job(
            identity,
            self._competition.slug,
            candidate.run,
            candidate.file.sha256,
            f"{note[:_LONGEST_MESSAGE]} | [{identity}]",
            datetime.now(UTC).isoformat(timespec="seconds"),
            candidate.commit,
            candidate.params,
            began=time.time(),
            target=candidate.target,
        )

    def _refuse_known(self, candidate: Candidate, rows: Sequence[ledger.Row], listed: Sequence[Submission]) -> None:
        if earlier := duplicates.certain(candidate.file, rows, listed):
            raise PipelineError(
                f"The very same file was submitted before ({duplicates.described(earlier[-1])}); nothing was "
                "submitted.\nSee its score with `python -m pipeline submissions`; to spend a submission on it again, "
                "add --force."
            )

    def _ask_about(self, alike: Sequence[Submission]) -> None:
        if not alike:
            return
        text = "Kaggle has what may be this very file, submitted in another way:\n" + "\n".join(
            f"  {duplicates.described(one)}" for one in alike[:5]
        )
        self._say(text)
        if not self._ask("Submit it all the same?"):
            raise PipelineError(
                "Nothing was submitted, since Kaggle may have the file already (it tells no checksums).\n"
                "If it is another file, or is to be spent a submission on again, add --force."
            )

    def _create(self, job: Job, counted: int, listed: Sequence[Submission], unique: Candidate | None) -> Job:
        """Upload and create; return the job with its reference. Never creates before it knows that nothing is there.

        A file that came to Kaggle from elsewhere during the upload is refused if `unique` is given.
        """
        token = self._competition.upload(self._journal.file(job))
        # What came meanwhile: a request thought lost, another clone's. What remains is the moment of the creation.
        listed_now = self._competition.submissions()
        if found := next((one for one in listed_now if job.mark in one.description), None):
            return self._journal.note(job, state="made", ref=found.ref)
        if unique is not None and duplicates.certain(unique.file, (), listed_now):
            self._journal.close(job)
            self._refuse_known(unique, (), listed_now)

        def create() -> Job:
            asked = self._journal.note(job, state="creating", began=time.time(), counted=counted, listed=len(listed))
            try:
                return self._journal.note(asked, state="made", ref=self._competition.create(token, job.message))
            except KaggleError as error:
                if error.refused and not error.passing:
                    self._journal.close(job)
                    raise
                self._say(f"{str(error).splitlines()[0]} Looking whether Kaggle has the submission.")
                settled = self._settle(asked, (), () if error.refused else self._settings.lookups_s)
                if settled.state != "made":
                    raise _NotMadeError.like(error) from None
                self._say(f"It has: ref {settled.ref}.")
                return settled

        return retrying(self._settings.patience, lambda error: isinstance(error, _NotMadeError))(create)

    def _settle(self, job: Job, listed: Sequence[Submission], waits: Sequence[float]) -> Job:
        """Find out whether a job in the state `creating` has made a submission: then `made`, else `asked` again.

        `listed` may be what Kaggle lists now. A new submission may take a while to be listed, so it is looked for again
        after each of the `waits`. Raises KaggleError if it cannot be found out now; the job stays as it is.
        """
        try:
            for wait_s in (0.0, *waits):
                if wait_s >= 1:
                    self._say(
                        f"Kaggle does not list the submission of '{job.run}' yet; looking again in {wait_s:.0f} s."
                    )
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


class _NotMadeError(KaggleError):
    """A creation that certainly made no submission, and may be tried again."""

    @classmethod
    def like(cls, error: KaggleError) -> "_NotMadeError":
        return cls(
            str(error),
            status=error.status,
            refused=error.refused,
            passing=error.passing,
            retry_after_s=error.retry_after_s,
        )


def interrupted(job: Job) -> str:
    """Say how to finish what was begun."""
    return f"The submit of '{job.run}' of {job.time} was interrupted; `submit {job.target or job.run}` finishes it."


def _same(job: Job, candidate: Candidate) -> bool:
    return job.run == candidate.run and job.sha256 == candidate.file.sha256
