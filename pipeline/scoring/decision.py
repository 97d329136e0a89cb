"""From probabilities to one label a clip: the rules of the section `decide` in params.yaml."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field

from pipeline import metrics
from pipeline.clips.labels import SILENCE, UNKNOWN
from pipeline.errors import PipelineError
from pipeline.scoring.probabilities import Probabilities
from pipeline.settings import Settings

Share = Annotated[float, Field(ge=0, le=1)]
RuleName = Literal["none", "published", "tuned"]

SHARE_TOLERANCE = 1e-3
# Log odds at which the two thresholds are tried; 0 is the argmax, 8 stands for odds of 3,000 to 1.
GRID = np.arange(-8, 8.01, 0.25)
RESAMPLES = 100
TINY = 1e-9


def _refuse_truth_values(prior: Any) -> Any:
    if isinstance(prior, dict) and any(isinstance(label, bool) for label in prior):
        raise ValueError("YAML reads yes, no, on and off as true and false: put them in quotes")
    return prior


def _check_sum(prior: Any) -> Any:
    if isinstance(prior, dict) and abs(sum(prior.values()) - 1) > SHARE_TOLERANCE:
        raise ValueError(f"the shares must sum to 1; they sum to {sum(prior.values()):.4f}")
    return prior


Prior = Annotated[
    Literal["uniform"] | dict[str, Share], BeforeValidator(_refuse_truth_values), AfterValidator(_check_sum)
]


class Rule(Settings):
    """How one run is decided.

    `none`: the likeliest label, words that are no command as unknown. `published`: unknown where the best score is
    below `unknown_below`, silence where it is below `silence_below`. `tuned`: thresholds tuned on the validation
    clips for a test set in which the labels have the shares `prior`; a label left out of a mapping has none.
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
class Decider:
    """A rule made ready. `labels_of` gives one submission label a clip, `thresholds` is what metrics.json tells
    (shares for `tuned`, see `_as_share`; None where the argmax was kept).
    """

    rule: RuleName
    thresholds: dict[str, Any]
    labels_of: Callable[[Probabilities], np.ndarray]  # str [clips]


def shares_of(prior: Prior, labels: Sequence[str]) -> np.ndarray:
    """Return the prior as float64 [labels]. Raises PipelineError for a label that the submission does not have."""
    if prior == "uniform":
        return np.full(len(labels), 1 / len(labels))
    assert isinstance(prior, Mapping)
    strange = sorted(set(prior) - set(labels))
    if strange:
        raise PipelineError(
            f"params.yaml, decide.prior: {', '.join(strange)} is no label of the submission. "
            f"Labels: {', '.join(labels)}"
        )
    return np.array([prior.get(label, 0.0) for label in labels])


def prepare(
    rule: Rule,
    validation: Probabilities,
    truth: Sequence[str],  # submission labels of the validation clips
    commands: Sequence[str],
    rng: np.random.Generator,
) -> Decider:
    """Return the rule ready for use; only `tuned` looks at the validation clips.

    Raises PipelineError for a prior over other labels, or one under which no validation clip counts.
    """
    if rule.rule == "none":
        return Decider("none", {}, lambda judged: argmax(judged, commands))
    if rule.rule == "published":
        bounds = {"unknown_below": rule.unknown_below, "silence_below": rule.silence_below}
        return Decider("published", bounds, lambda judged: _published(judged, commands, **bounds))
    tuned = _tune(rule, validation, truth, commands, rng)
    if tuned is None:
        return Decider("tuned", {"silence_from": None, "unknown_from": None}, lambda judged: argmax(judged, commands))
    silence_from, unknown_from = tuned
    return Decider(
        "tuned",
        {"silence_from": _as_share(silence_from), "unknown_from": _as_share(unknown_from)},
        lambda judged: _threshold(_Evidence.of(judged, commands), silence_from, unknown_from, commands),
    )


def argmax(judged: Probabilities, commands: Sequence[str]) -> np.ndarray:
    """Return the likeliest label of each clip, words that are no command as unknown: str [clips]."""
    known = {*commands, SILENCE}
    labels = np.array([label if label in known else UNKNOWN for label in judged.labels])
    return labels[judged.values.argmax(axis=1)]


def _published(
    judged: Probabilities, commands: Sequence[str], unknown_below: float, silence_below: float
) -> np.ndarray:
    """The rule of the published wav2vec2-words entry, over the labels that the model itself has."""
    best = judged.values.max(axis=1)
    labels = np.where(best < unknown_below, UNKNOWN, argmax(judged, commands))
    return np.where(best < silence_below, SILENCE, labels)


@dataclass(frozen=True)
class _Evidence:
    """What the two thresholds look at, all [clips].

    `silence`: log odds of silence against the better of unknown and the best command. `unknown`: log odds of unknown
    against the best command. `command`: index of the best command. Words have been summed into unknown before; a run
    without any column for it takes what the best command and silence leave over, so the threshold on `unknown` is one
    on the best command's confidence.
    """

    silence: np.ndarray
    unknown: np.ndarray
    command: np.ndarray

    @classmethod
    def of(cls, judged: Probabilities, commands: Sequence[str]) -> "_Evidence":
        # float64, because 1 - best - silence of a sure clip drowns in float32's rounding
        values = judged.to_submission_labels(commands).values.astype(
            np.float64
        )  # [clips, commands + unknown + silence]
        best, unknown, silence = values[:, :-2].max(axis=1), values[:, -2], values[:, -1]
        has_unknown = bool(set(judged.labels) - {*commands, SILENCE})
        rest = unknown if has_unknown else 1 - best - silence
        return cls(
            _log(silence) - _log(np.maximum(best, unknown)),
            _log(rest) - _log(best),
            values[:, :-2].argmax(axis=1),
        )


def _log(values: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(values, TINY))


def _threshold(evidence: _Evidence, silence_from: float, unknown_from: float, commands: Sequence[str]) -> np.ndarray:
    """Apply the two thresholds, in log odds: 0 and 0 give the argmax over the submission's labels."""
    labels = np.where(evidence.unknown >= unknown_from, UNKNOWN, np.array(commands)[evidence.command])
    return np.where(evidence.silence >= silence_from, SILENCE, labels)


def _as_share(log_odds: float) -> float:
    """Return p / (p + rival's p) at these log odds: 0.5 is the argmax, nearer 1 asks for more certainty."""
    return round(float(1 / (1 + np.exp(-log_odds))), 5)


def _tune(
    rule: Rule, validation: Probabilities, truth: Sequence[str], commands: Sequence[str], rng: np.random.Generator
) -> tuple[float, float] | None:
    """Return the thresholds in log odds, or None where the argmax is as good for all that the clips can tell.

    A few hundred clips over-fit even two thresholds, so each is the mean over bootstrap resamples of the middle of the
    best plateau (bagging: Breiman, Machine Learning 24, 1996), and the pair is kept only if it gains more than one
    standard error over the argmax on the same clips. On simulated posteriors of 360 clips that cut the loss where
    there was nothing to gain from 0.2 % to 0.03 %, and kept all of the gain where there was (2 to 6 %).
    """
    labels = [*commands, UNKNOWN, SILENCE]
    index = {label: place for place, label in enumerate(labels)}
    wanted = np.array([index[label] for label in truth])
    counts = np.bincount(wanted, minlength=len(labels))
    shares = metrics.weights(np.diag(counts), shares_of(rule.prior, labels))
    weight = (shares / np.maximum(counts, 1))[wanted]  # [clips], sums to 1
    evidence = _Evidence.of(validation, commands)
    cells = _Cells.of(evidence, wanted, len(commands))
    middles = [_middle(cells.accuracies(weight * rng.poisson(1, len(wanted)))) for _ in range(RESAMPLES)]
    silence_from, unknown_from = np.mean(middles, axis=0)
    right = _threshold(evidence, silence_from, unknown_from, commands) == np.array(truth)
    right_before = argmax(validation, commands) == np.array(truth)
    gains = weight * (right.astype(float) - right_before)
    if gains.sum() <= np.sqrt(np.sum(gains**2)):
        return None
    return float(silence_from), float(unknown_from)


@dataclass(frozen=True)
class _Cells:
    """Each clip's place on the grid, so that all threshold pairs are judged by one histogram and its running sums."""

    silence: np.ndarray  # [clips], how many thresholds of GRID the clip's silence reaches
    both: np.ndarray  # [clips], the same for silence and unknown, as one index
    sign: np.ndarray  # [clips], what it is worth to call the clip a command: 1 if right, -1 if it is unknown, else 0
    is_unknown: np.ndarray
    is_silence: np.ndarray

    @classmethod
    def of(cls, evidence: _Evidence, wanted: np.ndarray, commands: int) -> "_Cells":
        silence = np.searchsorted(GRID, evidence.silence, side="right")
        unknown = np.searchsorted(GRID, evidence.unknown, side="right")
        sign = (wanted == evidence.command).astype(float) - (wanted == commands)
        return cls(silence, silence * (len(GRID) + 1) + unknown, sign, wanted == commands, wanted == commands + 1)

    def accuracies(self, weight: np.ndarray) -> np.ndarray:
        """Return the weighted accuracy of each pair, [silence thresholds, unknown thresholds]."""
        size = len(GRID) + 1
        commands = np.bincount(self.both, weight * self.sign, size * size).reshape(size, size)
        commands = commands.cumsum(axis=0).cumsum(axis=1)[:-1, :-1]
        # Not silence: as if all of it were unknown; `commands` corrects that.
        unknown = np.bincount(self.silence, weight * self.is_unknown, size).cumsum()[:-1]
        silence = np.bincount(self.silence, weight * self.is_silence, size)[::-1].cumsum()[::-1][1:]
        return commands + (unknown + silence)[:, None]


def _middle(accuracies: np.ndarray) -> np.ndarray:
    """Return the centre of the best plateau: silence and unknown threshold, log odds."""
    return GRID[0] + (GRID[1] - GRID[0]) * np.argwhere(accuracies >= accuracies.max() - TINY).mean(axis=0)
