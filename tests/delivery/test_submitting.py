"""Every point at which a submit can be cut off, one after the other, against a Kaggle that is only a list.

tests/stages/test_submit.py has the same with the real client, real faults and kill -9.
"""

import hashlib
import os
import time

import numpy as np
import pytest

from pipeline import files
from pipeline.delivery import ledger
from pipeline.delivery.competition import Limits, Submission
from pipeline.delivery.duplicates import Fingerprint
from pipeline.delivery.journal import Journal
from pipeline.delivery.kaggle_client import Patience
from pipeline.delivery.kaggle_errors import KaggleError
from pipeline.delivery.scores import Scores
from pipeline.delivery.settings import Submit
from pipeline.delivery.submitting import Candidate, Submitter
from pipeline.errors import PipelineError

DATA = b"fname,label\na.wav,yes\n"
SETTINGS = Submit(lookups_s=[0], poll_s=0.001, patience=Patience(pause_s=0))


class CutOff(BaseException):
    """What kill -9 is to a process."""


class Cuts:
    """Counts the effects, and cuts off before or after the one that is its turn."""

    def __init__(self) -> None:
        self.turn: int | None = None
        self.count = 0

    def around(self, function):
        def wrapped(*arguments, **options):
            self.step()
            result = function(*arguments, **options)
            self.step()
            return result

        return wrapped

    def step(self) -> None:
        if self.count == self.turn:
            raise CutOff
        self.count += 1


class Kaggle:
    """As much of a `Competition` as a submitter needs."""

    slug = page = "slug"

    def __init__(self, cuts: Cuts) -> None:
        self.made: list[Submission] = []
        self.uploads: list[bytes] = []
        self.lists = 0
        self.lost = 0  # replies of `create` that get lost
        self.left = 5
        for name in ("submissions", "limits", "upload", "create"):
            setattr(self, name, cuts.around(getattr(self, name)))

    def submissions(self) -> list[Submission]:
        self.lists += 1
        return self.made[::-1]

    def limits(self) -> Limits:
        return Limits(len(self.made), len(self.made), self.left - len(self.made), False)

    def upload(self, path) -> str:
        self.uploads.append(path.read_bytes())
        return "token"

    def create(self, token: str, description: str) -> str:
        ref = str(len(self.made) + 1)
        self.made.append(Submission(ref, "", description, "submission.csv", "complete", "0.80000", "0.90000", ""))
        if self.lost:
            self.lost -= 1
            raise KaggleError("no reply", passing=True)
        return ref


class Counter:
    def __init__(self, tmp_path, cuts: Cuts) -> None:
        self.cuts, self.kaggle = cuts, Kaggle(cuts)
        self.journal, self.ledger = Journal(tmp_path / "journal"), tmp_path / "ledger.csv"
        self.kept: list[tuple[bytes, str, str]] = []
        self.said: list[str] = []

    def submit(
        self, data: bytes = DATA, run: str = "ast", force: bool = False, settings: Submit = SETTINGS
    ) -> ledger.Row:
        def keep(scored):
            self.cuts.step()
            if scored.file is not None:
                self.kept.append((scored.file.read_bytes(), scored.run, scored.score))
            self.cuts.step()

        places = (self.kaggle, self.journal, self.ledger, settings)
        submitter = Submitter(*places, self.said.append, lambda question: False)
        file = Fingerprint(hashlib.sha256(data).hexdigest(), len(data), "submission.csv", 0.0)
        candidate = Candidate(run, data, file, "note", "commit", "params", run)
        ref = submitter.submit(candidate, force, wait=True)
        return Scores(*places, keep, self.said.append).wait(ref)

    def assert_one(self) -> None:
        (made,) = self.kaggle.made
        (row,) = ledger.read(self.ledger)
        assert (row.run, row.ref, row.status, row.private) == ("ast", made.ref, "complete", "0.90000")
        assert (row.message, row.sha256) == (made.description, hashlib.sha256(DATA).hexdigest())
        assert set(self.kept) == {(DATA, "ast", "0.90000")}
        assert not any(self.journal.folder.iterdir())


@pytest.fixture
def cuts(monkeypatch):
    cuts = Cuts()
    # Every write of journal and ledger, before and after it counts.
    monkeypatch.setattr(files.os, "replace", cuts.around(os.replace))
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # seconds, in sum
    return cuts


def cut_off(counter: Counter, turn: int) -> bool:
    """Submit and be cut off at `turn`; say whether that was before the end."""
    counter.cuts.turn, counter.cuts.count = turn, 0
    try:
        counter.submit()
    except CutOff:
        return True
    except PipelineError as error:
        if "very same file" not in str(error):  # an earlier call had come to its end
            raise
    finally:
        counter.cuts.turn = None
    return False


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_cut_off_at_every_point_then_submitted_again(tmp_path, cuts, lost):
    turn = 0
    while True:
        counter = Counter(tmp_path / str(turn), cuts)
        counter.kaggle.lost = lost
        was_cut = cut_off(counter, turn)
        if was_cut:
            cut_off(counter, 10**6)
        counter.assert_one()
        if not was_cut:
            break
        turn += 1
    assert turn > 20


def test_cut_off_again_and_again(tmp_path, cuts):
    rng = np.random.default_rng(5)
    for number in range(60):
        counter = Counter(tmp_path / str(number), cuts)
        counter.kaggle.lost = int(rng.integers(3))
        for _ in range(6):
            if not cut_off(counter, int(rng.integers(25))):
                break
        cut_off(counter, 10**6)
        counter.assert_one()


def test_a_forced_second_submission_is_made_once_too(tmp_path, cuts):
    for turn in range(40):
        counter = Counter(tmp_path / str(turn), cuts)
        counter.submit()
        counter.cuts.turn, counter.cuts.count = turn, 0
        try:
            counter.submit(force=True)
        except CutOff:
            counter.cuts.turn = None
            if counter.journal.jobs():  # else nothing was begun, or all was done
                counter.submit(force=True)
        counter.cuts.turn = None
        assert len(counter.kaggle.made) <= 2
        assert len(ledger.read(counter.ledger)) == len(counter.kaggle.made)
        assert counter.journal.jobs() == []


def test_an_old_interrupted_job_is_looked_for_only_once(tmp_path, cuts):
    counter = Counter(tmp_path, cuts)
    # Cut off in the creation, before Kaggle had it.
    counter.kaggle.create = lambda token, description: (_ for _ in ()).throw(CutOff)
    with pytest.raises(CutOff):
        counter.submit()
    (job,) = counter.journal.jobs()
    assert job.state == "creating"
    counter.journal.note(job, began=time.time() - 3_600)
    counter.kaggle.create = Kaggle(cuts).create
    counter.kaggle.lists = 0
    begin = time.monotonic()
    with pytest.raises(PipelineError, match="not scored it within"):  # the other Kaggle made it
        counter.submit(settings=Submit(lookups_s=[60.0], poll_s=0.2, wait_limit_s=0.1))
    assert time.monotonic() - begin < 30


def test_what_kaggle_counts_but_does_not_list_stops_the_second_attempt(tmp_path, cuts):
    counter = Counter(tmp_path, cuts)
    counter.kaggle.lost = 1
    counter.kaggle.submissions = lambda: []
    with pytest.raises(KaggleError, match="counts a submission that it does not list yet"):
        counter.submit()
    assert len(counter.kaggle.made) == 1
    counter.kaggle.submissions = lambda: counter.kaggle.made
    counter.submit()
    counter.assert_one()


def test_a_description_is_short_and_ends_with_the_id(tmp_path, cuts):
    counter = Counter(tmp_path, cuts)
    counter.submit(run="a\nrun " * 100)
    (made,) = counter.kaggle.made
    assert len(made.description) < 240
    assert "\n" not in made.description
    assert made.description.endswith("]")


@pytest.mark.parametrize(
    "bad", [{"lookups_s": []}, {"lookups_s": [-1]}, {"poll_s": 0}, {"wait_limit_s": "soon"}, {"x": 1}]
)
def test_settings_are_checked(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        Submit(**bad)
