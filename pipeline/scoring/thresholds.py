"""Thresholds of unknown and silence, tuned on clips for a test set in which the labels have given shares."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline import metrics
from pipeline.clips.labels import SILENCE
from pipeline.scoring.nested import blocks_of
from pipeline.scoring.probabilities import Probabilities

# Log odds at which the two thresholds are tried; 0 is the argmax, 8 stands for odds of 3,000 to 1.
GRID = np.arange(-8, 8.01, 0.25)
RESAMPLES = 100
BUNDLES = 50  # of speakers; resamples draw bundles, so that their cost does not grow with the clips
FITS = 5  # cross-fitting: thresholds chosen on four fifths of the bundles are judged on the fifth that is left
STANDARD_ERRORS = 2.0  # by which the cross-fitted gain over the argmax must be above zero
TINY = 1e-9


@dataclass(frozen=True)
class Thresholds:
    """Two thresholds in log odds, of silence and of unknown: 0 and 0 give the argmax over the submission's labels."""

    silence_from: float
    unknown_from: float

    def decide(self, probabilities: Probabilities, commands: Sequence[str]) -> NDArray[np.int64]:
        """Return for each clip an index into [*commands, unknown, silence]."""
        return self.apply(LogOdds.of(probabilities, commands))

    def apply(self, odds: "LogOdds") -> NDArray[np.int64]:
        """Return what `decide` does, of log odds."""
        labels = np.where(odds.unknown >= self.unknown_from, odds.commands, odds.command)
        return np.where(odds.silence >= self.silence_from, odds.commands + 1, labels)

    def as_shares(self) -> dict[str, float | None]:
        """Return p / (p + its rival's p) at each threshold: 0.5 is the argmax, nearer 0 is easier to choose."""
        odds = {"silence_from": self.silence_from, "unknown_from": self.unknown_from}
        return {name: round(float(1 / (1 + np.exp(-value))), 5) for name, value in odds.items()}


def tune(
    probabilities: Probabilities,
    truth: NDArray[np.int64],  # [clips], index into [*commands, unknown, silence]
    speakers: Sequence[str],  # [clips]
    shares: NDArray[np.float64],  # of the labels in the test set
    commands: Sequence[str],
    rng: np.random.Generator,
) -> Thresholds | None:
    """Return the thresholds, or None where the argmax is as good for all that the clips can tell.

    They may make `unknown` and `silence` easier to choose than the argmax does, never harder: the unknown words of
    these clips were in training, those of the test were not, so the net is surer of `unknown` here than it will be
    there, and asking for more certainty looks free though it costs. The same holds for silence of noises that training
    had.

    A few hundred clips over-fit even two thresholds, so each is the mean over bootstrap resamples of the middle of the
    best plateau (bagging: Breiman, Machine Learning 24, 1996). They are kept only if thresholds chosen in the same way
    on other speakers gain over the argmax by more than STANDARD_ERRORS of the gain, paired and by speaker. On halves of
    real and simulated speakers that loses nothing (0.00004 at most in the mean of 200 halves), and keeps the gain of
    nets without unknown (2 %) or with too little of it from 700 clips on.

    Raises PipelineError if no label with a share has a clip.
    """
    counts = np.bincount(truth, minlength=len(shares))
    weight = (metrics.weights(np.diag(counts), shares) / np.maximum(counts, 1))[truth]  # [clips], sums to 1
    names, index = np.unique(np.asarray(speakers, dtype=str), return_inverse=True)
    if metrics.alike(np.bincount(index, weight)) < metrics.ALONE:
        return None  # of one speaker's clips, none are left to judge what was chosen on the others
    bundles = blocks_of(names.tolist(), BUNDLES)[index] if len(names) > BUNDLES else index
    odds = LogOdds.of(probabilities, commands)
    surfaces = ThresholdGrid.of(odds, truth).accuracies(weight, bundles, BUNDLES)
    allowed = _allowed(odds.has_unknown)

    decided = np.empty(len(truth), np.int64)
    fits = np.arange(BUNDLES) % FITS
    for fit in range(FITS):
        inside = fits[bundles] == fit
        decided[inside] = _bagged(surfaces[fits != fit], allowed, rng).apply(odds)[inside]
    before = probabilities.to_submission_labels(commands).values.argmax(axis=1)
    gains = np.bincount(index, weight * ((decided == truth).astype(float) - (before == truth)))
    if gains.sum() <= STANDARD_ERRORS * np.sqrt(len(gains)) * gains.std():
        return None
    return _bagged(surfaces, allowed, rng)


@dataclass(frozen=True)
class LogOdds:
    """What the two thresholds look at, all [clips].

    `silence`: log odds of silence against the better of unknown and the best command. `unknown`: log odds of unknown
    against the best command. `command`: index of the best command. Words have been summed into unknown before; a run
    without any column for it (`has_unknown`) takes what the best command and silence leave over, so the threshold on
    `unknown` is one on the best command's confidence.
    """

    silence: np.ndarray
    unknown: np.ndarray
    command: np.ndarray
    commands: int
    has_unknown: bool

    @classmethod
    def of(cls, probabilities: Probabilities, commands: Sequence[str]) -> "LogOdds":
        # float64, because 1 - best - silence of a sure clip drowns in float32's rounding
        values = probabilities.to_submission_labels(commands).values.astype(np.float64)  # [clips, submission labels]
        best, unknown, silence = values[:, :-2].max(axis=1), values[:, -2], values[:, -1]
        has_unknown = bool(set(probabilities.labels) - {*commands, SILENCE})
        rest = unknown if has_unknown else 1 - best - silence
        return cls(
            _log(silence) - _log(np.maximum(best, unknown)),
            _log(rest) - _log(best),
            values[:, :-2].argmax(axis=1),
            len(commands),
            has_unknown,
        )


def _log(values: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(values, TINY))


def _allowed(has_unknown: bool) -> NDArray[np.bool_]:
    """Return which pairs may be chosen: [silence thresholds, unknown thresholds]. See `tune`."""
    easier = GRID <= TINY
    # Without a column for unknown the argmax never chooses it, so any threshold makes it easier.
    return easier[:, None] & (easier | (not has_unknown))


def _bagged(surfaces: np.ndarray, allowed: NDArray[np.bool_], rng: np.random.Generator) -> Thresholds:
    """Return the mean over resamples of the bundles; `surfaces` is [bundles, silence, unknown thresholds]."""
    drawn = rng.poisson(1, (RESAMPLES, len(surfaces))).astype(np.float64)
    pairs = np.argwhere(allowed)
    middles = [pairs[accuracies >= accuracies.max() - TINY].mean(axis=0) for accuracies in drawn @ surfaces[:, allowed]]
    silence_from, unknown_from = GRID[0] + (GRID[1] - GRID[0]) * np.mean(middles, axis=0)
    return Thresholds(float(silence_from), float(unknown_from))


@dataclass(frozen=True)
class ThresholdGrid:
    """Each clip's place on the grid, so that all threshold pairs are judged by one histogram and its running sums."""

    silence: np.ndarray  # [clips], how many thresholds of GRID the clip's silence reaches
    unknown: np.ndarray  # [clips], the same for unknown
    sign: np.ndarray  # [clips], what it is worth to call the clip a command: 1 if right, -1 if it is unknown, else 0
    is_unknown: np.ndarray
    is_silence: np.ndarray

    @classmethod
    def of(cls, odds: LogOdds, truth: NDArray[np.int64]) -> "ThresholdGrid":
        is_unknown = truth == odds.commands
        return cls(
            np.searchsorted(GRID, odds.silence, side="right"),
            np.searchsorted(GRID, odds.unknown, side="right"),
            (truth == odds.command).astype(float) - is_unknown,
            is_unknown,
            truth == odds.commands + 1,
        )

    def accuracies(self, weight: np.ndarray, bundles: NDArray[np.int64], count: int) -> np.ndarray:
        """Return the weight of the right clips for each pair: [bundles, silence thresholds, unknown thresholds]."""
        size = len(GRID) + 1

        def histogram(weights: np.ndarray, *steps: np.ndarray) -> np.ndarray:
            index = np.ravel_multi_index((bundles, *steps), (count, *[size] * len(steps)))
            return np.bincount(index, weights, count * size ** len(steps)).reshape(count, *[size] * len(steps))

        commands = histogram(weight * self.sign, self.silence, self.unknown)
        commands = commands.cumsum(axis=1).cumsum(axis=2)[:, :-1, :-1]
        # Not silence: as if all of it were unknown; `commands` corrects that.
        unknown = histogram(weight * self.is_unknown, self.silence).cumsum(axis=1)[:, :-1]
        silence = histogram(weight * self.is_silence, self.silence)[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]
        return commands + (unknown + silence)[:, :, None]
