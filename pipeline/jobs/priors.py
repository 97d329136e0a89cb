"""Where the shares of the labels in the test set come from: params.yaml, or an estimate from the test clips."""

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


def settle(
    rule: Rule, corpus: Corpus, out_of_fold: OutOfFold, test: Probabilities
) -> tuple[Rule, EstimatedPrior | None]:
    """Return the rule with shares: where it asks for an estimate, those that a run's tables tell, and the estimate.

    Raises PipelineError as `prior.estimate`.
    """
    if rule.prior != ESTIMATED:
        return rule, None
    commands = corpus.vocabulary.commands
    judged = out_of_fold.nested_table().to_submission_labels(commands)
    truth = truth_of(corpus, "out_of_fold", out_of_fold.table, target_of(corpus, Task()))
    heard = without_unreadable(corpus, test).to_submission_labels(commands)
    found = prior.estimate(judged, truth, out_of_fold.speakers, heard)
    return with_shares(rule, found), found


def with_shares(rule: Rule, found: EstimatedPrior) -> Rule:
    """Return the rule with the shares that were found."""
    return rule.model_copy(update={"prior": found.as_prior()})
