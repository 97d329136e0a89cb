"""The prior of a run, where params.yaml asks for an estimate."""

import numpy as np

from pipeline.jobs import priors
from pipeline.scoring.nested import OutOfFold
from pipeline.scoring.probabilities import Probabilities
from pipeline.scoring.settings import Rule
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
    estimate = priors.prior.estimate
    monkeypatch.setattr(priors.prior, "estimate", lambda *args: asked.append(args[0]) or estimate(*args, resamples=0))
    priors.settle(Rule(prior="estimated"), corpus, out_of_fold, table)
    assert np.array_equal(asked[0].values, wrong)
