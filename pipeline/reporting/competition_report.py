"""What a table of probabilities comes to: a submission, the figures that judge it, its confusion matrix."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import metrics
from pipeline.clips.corpus import Corpus
from pipeline.examples.target import target_of
from pipeline.examples.task import Task
from pipeline.reporting import confusion
from pipeline.scoring import decision, nested, provenance, submission, truth, unheard
from pipeline.scoring.judged import FILE as JUDGED
from pipeline.scoring.judged import judged_by
from pipeline.scoring.nested import Decide, OutOfFold
from pipeline.scoring.probabilities import Probabilities
from pipeline.scoring.settings import Rule
from pipeline.scoring.shares import shares_of

SYNTHETIC = "synthetic speech: says nothing of the leaderboard"
NESTED = "out of fold, judged by choices made on other speakers"


def caption_of(corpus: Corpus) -> str:
    """Return what a picture must say of where the clips come from."""
    return SYNTHETIC if corpus.description["source"] == "demo" else ""


def caption_of_estimate(corpus: Corpus, figures: Mapping[str, Any]) -> str:
    """Return what a picture of an estimate must say: its interval, what it was judged on, where the clips come from."""
    interval = ""
    if "prior_accuracy_low" in figures:
        interval = f"95 % interval {figures['prior_accuracy_low']:.3f} to {figures['prior_accuracy_high']:.3f}"
    return "  ·  ".join(filter(None, (interval, NESTED, caption_of(corpus))))


def publish(
    folder: Path,
    rule: Rule,
    corpus: Corpus,
    sample: Sequence[str],
    out_of_fold: OutOfFold,
    test: Probabilities,
    holdout: Probabilities | None,
    rng: np.random.Generator,
    about: Mapping[str, Any],
    commit: str,
    params: str,
) -> dict[str, Any]:
    """Decide all clips by `rule`; write submission.csv, confusion.csv, confusion.png, metrics.json and judged.parquet.

    They go to `folder`. `sample` names the test clips in the order of the submission; `holdout` is a labelled split
    that nothing was chosen on; `about` is added to the metrics, which are returned; `commit` and `params` are what
    `provenance.publish` notes of the submission. Each of the metrics has the figures of `metrics.judge`:
    `estimate` of the out-of-fold clips, each decided by what was chosen without it, by the rule and by the argmax
    (`argmax_prior_accuracy`); `selected` of the same clips by the final choices, which were made on them, so it is too
    high; `holdout` by the final choices, or None. The confusion matrix is the estimate's.
    Raises PipelineError as `truth.truth_of`, `decision.fit_rule` and `submission.text` do.
    """
    commands, labels = corpus.vocabulary.commands, corpus.vocabulary.submission_labels
    shares, target, table = shares_of(rule.prior, labels), target_of(corpus, Task()), out_of_fold.table
    wanted = truth.truth_of(corpus, "out_of_fold", table, target)

    def fit(probabilities: Probabilities, clips: NDArray[np.int64]) -> decision.FittedRule:
        speakers = [out_of_fold.speakers[clip] for clip in clips]
        return decision.fit_rule(rule, probabilities, wanted[clips], speakers, commands, rng)

    def fit_without(probabilities: Probabilities, clips: NDArray[np.int64]) -> Decide:
        if not shares[wanted[clips][wanted[clips] >= 0]].any():  # all clips are of one speaker: none to choose on
            return partial(decision.argmax, commands=commands)
        return fit(probabilities, clips).decide

    own = out_of_fold.nested_table()
    final = fit(table, np.arange(len(table.clips)))
    decided = {
        "estimate": nested.decide_nested(out_of_fold, fit_without),
        "argmax": decision.argmax(own, commands),
        "selected": final.decide(table),
    }
    judged = {name: metrics.judge(wanted, of, out_of_fold.speakers, labels, shares) for name, of in decided.items()}
    rows = truth.rows_of(corpus, "out_of_fold", table)
    estimate = {
        **judged["estimate"],
        "argmax_prior_accuracy": judged["argmax"]["prior_accuracy"],
        **unheard.describe(corpus, rows, wanted, decided["estimate"], out_of_fold.speakers),
    }
    held_out = None
    if holdout is not None and holdout.clips:
        speakers = truth.speakers_of(corpus, truth.rows_of(corpus, "holdout", holdout))
        true = truth.truth_of(corpus, "holdout", holdout, target)
        held_out = metrics.judge(true, final.decide(holdout), speakers, labels, shares)
    predicted = [labels[index] for index in final.decide(test)]
    figures = {
        "run": table.run,
        **about,
        "rule": rule.rule,
        "thresholds": final.thresholds,
        "prior": rule.prior,
        "predicted_on_test": {label: predicted.count(label) for label in labels},
        "estimate": estimate,
        "selected": judged["selected"],
        "holdout": held_out,
    }
    of_clip = dict(zip(test.clips, predicted, strict=True))
    written = submission.text(folder / "submission.csv", of_clip, sample, labels)
    counts = metrics.confusion(wanted, decided["estimate"], len(labels))
    what = "mean recall" if rule.prior == "uniform" else "accuracy under its prior"
    title = f"{table.run}  ·  estimated {what} {estimate['prior_accuracy']:.3f}"
    confusion.publish(folder, counts, labels, title, caption_of_estimate(corpus, estimate))
    judged_by(own, decided["estimate"], labels).write(folder / JUDGED)
    provenance.publish(folder, written, figures, commit, params)
    return figures
