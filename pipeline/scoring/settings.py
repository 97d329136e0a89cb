"""The sections `decide`, `vote` and `ensemble` of params.yaml. Nothing here computes, so that reading them is quick."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field

from pipeline.clips.labels import Label
from pipeline.errors import PipelineError
from pipeline.settings import Settings, Share

ENSEMBLE = "ensemble"  # the vote's name among the runs

Method = Literal["equal", "accuracy", "greedy", "stacking"]
METHODS: tuple[Method, ...] = get_args(Method)
MEAN: Method = "equal"  # the yardstick

RuleName = Literal["none", "published", "tuned"]

SHARE_TOLERANCE = 1e-3


def _refuse_truth_values(prior: Any) -> Any:
    if isinstance(prior, dict) and any(isinstance(label, bool) for label in prior):
        raise ValueError("true and false are truth values and no labels: put them in quotes")
    return prior


def _check_sum(prior: Any) -> Any:
    if isinstance(prior, dict) and abs(sum(prior.values()) - 1) > SHARE_TOLERANCE:
        raise ValueError(f"the shares must sum to 1; they sum to {sum(prior.values()):.4f}")
    return prior


Prior = Annotated[
    Literal["uniform", "estimated"] | dict[Label, Share],
    BeforeValidator(_refuse_truth_values),
    AfterValidator(_check_sum),
]


class Rule(Settings):
    """How one run is decided.

    `none`: the likeliest label, after words that are no command are summed into unknown. `published`: unknown where the
    best score is below `unknown_below`, silence where it is below `silence_below`. `tuned`: thresholds tuned on the
    out-of-fold clips for a test set in which the labels have the shares `prior`; a label that a mapping leaves out has
    none. With the prior `estimated`, a run's shares are those that its own probabilities of the test clips tell
    (`scoring.prior`).
    """

    prior: Prior = "uniform"
    rule: RuleName = "tuned"
    unknown_below: Share = 0.5
    silence_below: Share = 0.3


class Override(Settings):
    """What one run does otherwise; None leaves it as it is."""

    prior: Prior | None = None
    rule: RuleName | None = None
    unknown_below: Share | None = None
    silence_below: Share | None = None


class Decide(Rule):
    """The section `decide`: one rule for all, and what single runs (or `ensemble`) do otherwise."""

    overrides: dict[str, Override] = Field(default_factory=dict)

    def for_run(self, run: str) -> Rule:
        """Return the rule of a run."""
        own = self.overrides.get(run, Override()).model_dump(exclude_none=True)
        return Rule(**{**self.model_dump(exclude={"overrides"}), **own})


class Ensemble(Settings):
    """The section `ensemble` or `vote`. `runs`: which take part, None for all that answer the competition's question.

    `weights`, all chosen on the out-of-fold clips under decide.prior:
    - `equal`: the mean of the runs.
    - `accuracy`: a mean weighted by accuracy to the power `sharpness`; `auto` starts at 1 and doubles the power until
      the vote is no worse than the best single run; if it always is, that run votes alone. Where a clip may have
      several labels, the weights are mean average precisions.
    - `greedy`: a mean weighted by how often a run is picked (`scoring.greedy`).
    - `stacking`: logistic regression on log probabilities (`scoring.stacking`).
    - `best`: of these four the one that beats the mean on clips that it was not fitted on by more than two standard
      errors of the difference; else the mean. (With one, luck chose among four runs judged on 387 clips, and the vote
      lost a point to the mean.)
    - a mapping of run to weight.
    Where a clip may have several labels (tags), only `equal`, `accuracy` and a mapping apply, and `best` is the mean.

    `temperature`: each run is first made surer or less sure, by a temperature that is fitted to the same clips.
    """

    runs: list[str] | None = None
    weights: (
        Literal["best", "equal", "accuracy", "greedy", "stacking"]
        | dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]]
    ) = "best"
    sharpness: Literal["auto"] | Annotated[float, Field(ge=0, le=100)] = "auto"
    temperature: bool = False

    def refuse_tags(self, section: str) -> None:
        """Raise PipelineError for what does not apply where a clip may have several labels."""
        if self.temperature or self.weights in ("greedy", "stacking"):
            asked = "temperature" if self.temperature else f"weights: {self.weights}"
            raise PipelineError(
                f"params.yaml, section {section}: '{asked}' needs labels that exclude each other; of tags a clip may "
                "have several.\nTake weights: equal or accuracy, without temperature."
            )

    @property
    def is_fitted(self) -> bool:
        """Whether clips whose truth is known have a say in the vote."""
        return self.temperature or self.weights == "best" or (self.weights in METHODS and self.weights != MEAN)

    def members(self, runs: Sequence[str], section: str) -> list[str]:
        """Return the runs that vote. Raises PipelineError for one that params.yaml does not list, or for none."""
        members = list(runs) if self.runs is None else self.runs
        named = [*members, *(self.weights if isinstance(self.weights, dict) else ())]
        strange = sorted(set(named) - set(runs))
        if strange or not members or len(set(members)) < len(members):
            found = f"unknown: {', '.join(strange)}" if strange else f"found {members}"
            raise PipelineError(
                f"params.yaml, section {section}: it needs runs that are listed under 'runs' and answer one question, "
                f"each once; {found}. Such runs: {', '.join(runs)}"
            )
        return members
