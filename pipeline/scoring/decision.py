"""From probabilities to one label a clip: the rules of the section `decide` in params.yaml."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.clips.labels import SILENCE, UNKNOWN
from pipeline.scoring import thresholds
from pipeline.scoring.probabilities import Probabilities
from pipeline.scoring.settings import Rule, RuleName
from pipeline.scoring.shares import shares_of


@dataclass(frozen=True)
class FittedRule:
    """A rule ready for use. `decide` gives each clip an index into [*commands, unknown, silence], `thresholds` is what
    metrics.json tells (shares for `tuned`, see `Thresholds.as_shares`; None where the argmax was kept).
    """

    rule: RuleName
    thresholds: dict[str, Any]
    decide: Callable[[Probabilities], NDArray[np.int64]]  # [clips]


def fit_rule(
    rule: Rule,
    probabilities: Probabilities,
    truth: NDArray[np.int64],  # [clips], index into [*commands, unknown, silence]; -1: not judged
    speakers: Sequence[str],  # [clips]
    commands: Sequence[str],
    rng: np.random.Generator,
) -> FittedRule:
    """Return the rule ready for use; only `tuned` looks at the clips, of speakers whom the net never heard.

    `tuned` never makes unknown or silence harder to choose than the argmax does: see `thresholds.tune`.

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
