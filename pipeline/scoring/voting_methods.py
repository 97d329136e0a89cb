"""The ways of combining runs, each fitted on clips whose truth is known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline import metrics
from pipeline.scoring import greedy, stacking, temperature
from pipeline.scoring.alignment import aligned, ordered
from pipeline.scoring.combination import Combination, combined
from pipeline.scoring.probabilities import Probabilities
from pipeline.scoring.settings import Method

Sharpness = Literal["auto"] | float
# Powers of the accuracy, from the plain weighting to all but the best run alone.
POWERS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)


@dataclass(frozen=True)
class VotingData:
    """What a vote is fitted on: tables of the same clips in the same order, and what is true of them.

    `truth` is int64 [clips], an index into [*commands, unknown, silence] (the tables' own labels without `commands`),
    or float32 [clips, labels] where a clip may have several; a clip of -1 or NaN has no say. `shares` is the prior
    over these labels; without it each clip counts alike.
    """

    tables: Mapping[str, Probabilities]
    truth: NDArray[Any]
    speakers: Sequence[str]
    commands: Sequence[str] | None
    shares: NDArray[np.float64] | None

    @classmethod
    def of(
        cls,
        tables: Mapping[str, Probabilities],
        truth: NDArray[Any],
        speakers: Sequence[str],
        commands: Sequence[str] | None,
        shares: NDArray[np.float64] | None,
        finest: bool,
    ) -> "VotingData":
        """Bring the tables to the clips of the first and, unless their `finest` labels are needed, to the submission's.

        Raises PipelineError if they hold different clips or labels.
        """
        together = aligned(tables, commands)
        return cls(ordered(tables) if finest else together, truth, speakers, commands, shares)

    @property
    def exclusive(self) -> bool:
        return self.truth.ndim == 1

    @property
    def known(self) -> NDArray[np.int64]:
        """Which clips have a say: of a label that counts."""
        if not self.exclusive:
            return np.flatnonzero(~np.isnan(self.truth).any(axis=1))
        return np.flatnonzero(self._share > 0)

    def without(self, clips: NDArray[np.bool_]) -> "VotingData":
        """Return the same, with no say for the clips that are marked."""
        hidden = clips if self.exclusive else clips[:, None]
        return replace(self, truth=np.where(hidden, -1 if self.exclusive else np.nan, self.truth))

    def clip_weights(self, known: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return how much each known clip counts, sum 1: clips of a label have the label's share together."""
        share = self._share[known]
        return share / share.sum()

    def figure(self, values: NDArray[Any]) -> float:
        """Return the accuracy under the prior, or the mean average precision where clips may have several labels.

        0 where no clip has a say.
        """
        known = self.known
        if not len(known):
            return 0.0
        if not self.exclusive:
            return float(np.nanmean(metrics.average_precisions(self.truth[known] > 0.5, values[known])))
        counts = metrics.confusion(self.truth[known], values[known].argmax(axis=1), values.shape[1])
        return metrics.accuracy(counts, self.shares)

    @property
    def _share(self) -> NDArray[np.float64]:
        """What each clip counts, [clips], not normalised; 0 where its truth is not known."""
        known = self.truth >= 0
        if self.shares is None:
            return known.astype(float)
        clips = np.bincount(self.truth[known], minlength=len(self.shares))
        return np.where(known, (self.shares / np.maximum(clips, 1))[self.truth], 0.0)


def fit(method: Method, evidence: VotingData, sharpness: Sharpness = "auto", temper: bool = False) -> Combination:
    """Return the vote by one method; with `temper`, each run's temperature is fitted before."""
    temperatures = {}
    known = evidence.known
    if temper and evidence.exclusive and len(known):
        weights, truth = evidence.clip_weights(known), evidence.truth[known]
        temperatures = {
            run: temperature.fit(table.select(known), truth, weights, evidence.commands)
            for run, table in evidence.tables.items()
        }
    if method == "equal":
        return Combination("equal", equal(evidence.tables), temperatures)
    if not len(known):
        note = "No clip could weigh the votes, so all weigh the same."
        return Combination("equal", equal(evidence.tables), temperatures, note=note)
    tempered = {run: temperature.tempered(table, temperatures.get(run, 1.0)) for run, table in evidence.tables.items()}
    tables = aligned(tempered, evidence.commands)
    if method == "accuracy":
        weights_of, note = _by_accuracy(evidence, tables, sharpness)
        return Combination("accuracy", weights_of, temperatures, note=note)
    values, truth = np.stack([table.values[known] for table in tables.values()]), evidence.truth[known]
    weights = evidence.clip_weights(known)
    if method == "greedy":
        found = greedy.fit(values, truth, weights, [evidence.speakers[clip] for clip in known])
        return Combination("greedy", dict(zip(tables, found.tolist(), strict=True)), temperatures)
    found, bias = stacking.fit(values, truth, weights)
    labels = next(iter(tables.values())).labels
    by_label = dict(zip(labels, bias.tolist(), strict=True))
    return Combination("stacking", dict(zip(tables, found.tolist(), strict=True)), temperatures, by_label)


def equal(tables: Mapping[str, Any]) -> dict[str, float]:
    """Return the weights of the mean."""
    return {run: 1 / len(tables) for run in tables}


def normalised(weights: Mapping[str, float]) -> dict[str, float]:
    """Return the weights with the sum 1."""
    total = sum(weights.values())
    return {run: weight / total for run, weight in weights.items()}


def _by_accuracy(
    evidence: VotingData, tables: Mapping[str, Probabilities], sharpness: Sharpness
) -> tuple[dict[str, float], str]:
    """Return each run's accuracy, or its mean average precision, to a power, sum 1; and a note where it is not so."""
    figures = {run: evidence.figure(table.values) for run, table in tables.items()}
    if not any(figures.values()):
        return equal(tables), "No run recognised any of the clips that weigh the votes, so all weigh the same."
    if not evidence.exclusive:
        return normalised(figures), ""
    if sharpness != "auto":
        return normalised({run: figure**sharpness for run, figure in figures.items()}), ""
    best = max(figures, key=figures.__getitem__)
    values = np.stack([table.values for table in tables.values()])
    for power in POWERS:
        weights = normalised({run: figure**power for run, figure in figures.items()})
        if evidence.figure(combined(values, list(weights.values()))) >= figures[best]:
            return weights, ""
    return {run: float(run == best) for run in tables}, f"No vote was as good as the run '{best}', so it votes alone."
