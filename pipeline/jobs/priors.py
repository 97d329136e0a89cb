"""Where the shares of the labels in the test set come from: params.yaml, or an estimate from the test clips."""

from pathlib import Path

from pipeline.clips.corpus import Corpus
from pipeline.examples.target import target_of
from pipeline.examples.task import Task
from pipeline.scoring import prior
from pipeline.scoring.nested import OutOfFold
from pipeline.scoring.prior import EstimatedPrior
from pipeline.scoring.probabilities import Probabilities
from pipeline.scoring.settings import Rule
from pipeline.scoring.shares import ESTIMATED
from pipeline.scoring.truth import truth_of, without_unreadable


def settle(rule: Rule, corpus: Corpus, out_of_fold: OutOfFold, tables: Path) -> tuple[Rule, EstimatedPrior | None]:
    """Return the rule with shares: where it asks for an estimate, those that the run's `tables` tell, and the estimate.

    Raises PipelineError as `prior.estimate`, and for tables of test clips that are missing.
    """
    if rule.prior != ESTIMATED:
        return rule, None
    commands = corpus.vocabulary.commands
    judged = out_of_fold.nested_table().to_submission_labels(commands)
    truth = truth_of(corpus, "out_of_fold", out_of_fold.table, target_of(corpus, Task()))
    test = [
        without_unreadable(corpus, table).to_submission_labels(commands)
        for table in Probabilities.read_of_nets(tables, "test")
    ]
    found = prior.estimate(judged, truth, out_of_fold.speakers, test)
    return with_shares(rule, found), found


def with_shares(rule: Rule, found: EstimatedPrior) -> Rule:
    """Return the rule with the shares that were found."""
    return rule.model_copy(update={"prior": found.as_prior()})
