"""What the probabilities of a run, or of a vote, are decided into: the second half of `decide` and of `ensemble`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import params, sections
from pipeline.clips.corpus import Corpus
from pipeline.delivery.commit import commit_of
from pipeline.examples.target import Target, target_of
from pipeline.examples.task import Task
from pipeline.layout import Layout
from pipeline.reporting import competition_report, target_report
from pipeline.scoring import prior, submission
from pipeline.scoring.nested import OutOfFold
from pipeline.scoring.prior import EstimatedPrior
from pipeline.scoring.probabilities import Probabilities
from pipeline.scoring.shares import ESTIMATED
from pipeline.scoring.truth import truth_of, without_unreadable


@dataclass(frozen=True)
class Predictions:
    """What a run or a vote says of the clips. `test` and `estimated_prior` are read only where a submission is made,
    the estimate only where params.yaml asks for it.
    """

    out_of_fold: OutOfFold
    holdout: Probabilities | None
    test: Callable[[], Probabilities]
    estimated_prior: Callable[[], EstimatedPrior]


def publish(
    layout: Layout,
    tree: dict[str, Any],
    corpus: Corpus,
    name: str,
    task: Task,
    target: Target,
    predictions: Predictions,
    about: Mapping[str, Any],
) -> None:
    """Write submissions/<name>/; `about` is added to its metrics.

    Raises PipelineError as `competition_report.publish`, or for another question than the competition's as
    `target_report.publish`.
    """
    folder = layout.submission(name)
    told = {**task.model_dump(include={"target", "presence"}), **about}
    if note := sections.note_of(tree, name):
        told["estimate_note"] = note
    if not task.is_submitted:
        target_report.publish(folder, corpus, target, predictions.out_of_fold, predictions.holdout, told)
        return
    rule = sections.decide(tree).for_run(name)
    if rule.prior == ESTIMATED:
        found = predictions.estimated_prior()
        print(found.report())
        rule = rule.model_copy(update={"prior": found.as_prior()})
        told["prior_estimate"] = found.to_dict()
    competition_report.publish(
        folder,
        rule,
        corpus,
        submission.read_sample(layout.prepare / "sample.csv"),
        predictions.out_of_fold,
        predictions.test(),
        predictions.holdout,
        np.random.default_rng(params.seed(tree)),
        told,
        commit_of(layout.root),
        params.digest(sections.makers(tree, name)),
    )


def estimated_prior(corpus: Corpus, out_of_fold: OutOfFold, tables: Path) -> EstimatedPrior:
    """Return the shares of the labels in the test set that a run's `tables` tell.

    Raises PipelineError as `prior.estimate`, and for tables of test clips that are missing.
    """
    commands = corpus.vocabulary.commands
    judged = out_of_fold.nested_table().to_submission_labels(commands)
    truth = truth_of(corpus, "out_of_fold", out_of_fold.table, target_of(corpus, Task()))
    test = [
        without_unreadable(corpus, table).to_submission_labels(commands)
        for table in Probabilities.read_of_nets(tables, "test")
    ]
    return prior.estimate(judged, truth, out_of_fold.speakers, test)
