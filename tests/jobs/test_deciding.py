"""The prior of a run, where params.yaml asks for an estimate."""

import numpy as np

from pipeline.examples.target import target_of
from pipeline.examples.task import Task
from pipeline.jobs import deciding
from pipeline.jobs.voting import Election
from pipeline.scoring.nested import OutOfFold
from pipeline.scoring.probabilities import Probabilities
from pipeline.scoring.settings import Ensemble
from tests.judged_clips import COMMANDS, LABELS, corpus_of


def test_what_calibrates_the_estimate_was_judged_by_choices_made_without_it(tmp_path, monkeypatch):
    words = [*COMMANDS, "cat", "_silence_"]
    names = [f"{word}{number}.wav" for number in range(2) for word in words]
    clips = [{"clip": name, "word": word, "fold": 0} for name, word in zip(names, 2 * words, strict=True)]
    corpus = corpus_of(tmp_path / "corpus", clips, COMMANDS)
    kind, wrong = np.eye(12)[np.arange(24) % 12], np.eye(12)[(np.arange(24) + 1) % 12]
    table, nested = (Probabilities(names, LABELS, values, "ast", corpus.fingerprint) for values in (kind, wrong))
    out_of_fold = OutOfFold(table, names, np.arange(24) // 12, {0: nested, 1: nested})
    asked = []
    table.write(tmp_path / "test.parquet")
    estimate = deciding.prior.estimate
    monkeypatch.setattr(deciding.prior, "estimate", lambda *args: asked.append(args[0]) or estimate(*args, resamples=0))
    deciding.estimated_prior(corpus, out_of_fold, tmp_path)
    assert np.array_equal(asked[0].values, wrong)


def test_test_clips_that_could_not_be_read_are_not_taken_for_silence(tmp_path):
    words = [*COMMANDS, "cat", "_silence_"]
    names = [f"{word}{number}.wav" for number in range(4) for word in words]
    clips = [{"clip": name, "word": word, "fold": 0} for name, word in zip(names, 4 * words, strict=True)]
    heard = [f"test{number}.wav" for number in range(44)]  # of each label four, but no silence
    lost = [f"lost{number}.wav" for number in range(44)]  # zeros, so that every net says silence
    clips += [{"clip": name, "part": "test", "split": "test"} for name in heard]
    clips += [{"clip": name, "part": "test", "split": "test", "readable": False} for name in lost]
    corpus = corpus_of(tmp_path / "corpus", clips, COMMANDS)
    sure = 0.9 * np.eye(12) + 0.1 / 12
    judged = Probabilities(names, LABELS, sure[np.arange(48) % 12], "ast", corpus.fingerprint)
    says = sure[[*(np.arange(44) % 11), *(44 * [11])]]
    test = Probabilities([*heard, *lost], LABELS, says, "ast", corpus.fingerprint)
    out_of_fold = OutOfFold(judged, names, np.arange(48) // 12)

    test.write(tmp_path / "test.parquet")
    found = deciding.estimated_prior(corpus, out_of_fold, tmp_path)
    target = target_of(corpus, Task())
    truth = np.arange(48) % 12
    members, folders = {"ast": out_of_fold}, {"ast": tmp_path}
    election = Election(
        Ensemble(), corpus, Task(), target, folders, members, truth, tuple(COMMANDS), "estimated", LABELS
    )
    for shares in (found.shares, election.estimated(truth, resamples=0).shares):
        assert shares[LABELS.index("silence")] < 0.03
