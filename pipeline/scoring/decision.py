"""From probabilities to one label a clip: the rules of the section `decide` in params.yaml."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BeforeValidator, Field

from pipeline.clips.labels import SILENCE, UNKNOWN, Label
from pipeline.errors import PipelineError
from pipeline.scoring import thresholds
from pipeline.scoring.probabilities import Probabilities
from pipeline.settings import Settings

Share = Annotated[float, Field(ge=0, le=1)]
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


@dataclass(frozen=True)
class FittedRule:
    """A rule ready for use. `decide` gives each clip an index into [*commands, unknown, silence], `thresholds` is what
    metrics.json tells (shares for `tuned`, see `Thresholds.as_shares`; None where the argmax was kept).
    """

    rule: RuleName
    thresholds: dict[str, Any]
    decide: Callable[[Probabilities], NDArray[np.int64]]  # [clips]


def shares_of(prior: Prior, labels: Sequence[str]) -> np.ndarray:
    """Return the prior as float64 [labels]. Raises PipelineError for a label that the submission does not have.

    An estimate must be there already: raises ValueError for `estimated`.
    """
    if prior == "uniform":
        return np.full(len(labels), 1 / len(labels))
    if not isinstance(prior, Mapping):
        raise ValueError(f"the prior '{prior}' has no shares yet")
    strange = sorted(set(prior) - set(labels))
    if strange:
        raise PipelineError(
            f"params.yaml, decide.prior: {', '.join(strange)} is no label of the submission. "
            f"Labels: {', '.join(labels)}"
        )
    return np.array([prior.get(label, 0.0) for label in labels])


def fit_rule(
    rule: Rule,
    probabilities: Probabilities,
    truth: NDArray[np.int64],  # [clips], index into [*commands, unknown, silence]; -1: not judged
    speakers: Sequence[str],  # [clips]
    commands: Sequence[str],
    rng: np.random.Generator,
    unheard_words: bool = False,
) -> FittedRule:
    """Return the rule ready for use; only `tuned` looks at the clips, of speakers whom the net never heard.

    `tuned` never makes unknown or silence harder to choose than the argmax does, unless `unheard_words` says that the
    net was trained without the unknown words of these clips: see `thresholds.tune`.

    Raises PipelineError for a prior over other labels, or one under which no clip counts.
    """
    if rule.rule == "none":
        return FittedRule("none", {}, lambda table: argmax(table, commands))
    if rule.rule == "published":
        bounds = {"unknown_below": rule.unknown_below, "silence_below": rule.silence_below}
        return FittedRule("published", bounds, lambda table: _published(table, commands, **bounds))
    known = np.flatnonzero(truth >= 0)
    tuned = thresholds.tune(
        probabilities.select(known),
        truth[known],
        np.asarray(speakers, dtype=str)[known].tolist(),
        shares_of(rule.prior, [*commands, UNKNOWN, SILENCE]),
        commands,
        rng,
        unheard_words,
    )
    if tuned is None:
        return FittedRule("tuned", {"silence_from": None, "unknown_from": None}, lambda table: argmax(table, commands))
    return FittedRule("tuned", tuned.as_shares(), lambda table: tuned.decide(table, commands))


def argmax(probabilities: Probabilities, commands: Sequence[str]) -> NDArray[np.int64]:
    """Return the likeliest label of each clip, [clips], after words that are no command are summed into unknown."""
    return probabilities.to_submission_labels(commands).values.argmax(axis=1)


def _published(
    probabilities: Probabilities, commands: Sequence[str], unknown_below: float, silence_below: float
) -> NDArray[np.int64]:
    """The rule of the published wav2vec2-words entry, over the labels that the model itself has: words not summed."""
    index = {label: number for number, label in enumerate([*commands, UNKNOWN, SILENCE])}
    own = np.array([index.get(label, index[UNKNOWN]) for label in probabilities.labels])
    best = probabilities.values.max(axis=1)
    decided = np.where(best < unknown_below, index[UNKNOWN], own[probabilities.values.argmax(axis=1)])
    return np.where(best < silence_below, index[SILENCE], decided)
