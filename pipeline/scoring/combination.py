"""How the tables of several runs become one: a weighted sum, or a product whose parts are stacked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.clips.labels import SILENCE, UNKNOWN
from pipeline.scoring import temperature
from pipeline.scoring.alignment import aligned, check_labels, ordered
from pipeline.scoring.probabilities import Probabilities
from pipeline.scoring.settings import ENSEMBLE


@dataclass(frozen=True)
class Combination:
    """What was chosen of a vote: `weights` by run, for a sum they sum to 1.

    With `bias` (by label) the probabilities are stacked: proportional to exp(bias) times the product of the runs'
    probabilities, each to the power of its run's weight. `temperatures` by run are applied before all else; a run that
    is not named stays as it is. `method` is what metrics.json calls it, `note` what a reader should know of it.
    """

    method: str
    weights: Mapping[str, float]
    temperatures: Mapping[str, float] = field(default_factory=dict)
    bias: Mapping[str, float] | None = None
    note: str = ""

    def vote(self, tables: Mapping[str, Probabilities], commands: Sequence[str] | None) -> Probabilities:
        """Return the vote over [*commands, unknown, silence], in the clip order of the first table.

        Without `commands`, over the tables' own labels, which must be the same.
        Raises PipelineError if the tables hold different clips or labels, or were made of different corpora.
        """
        together = aligned(self._tempered(tables), commands)
        first = next(iter(together.values()))
        values = np.stack([together[run].values for run in self.weights])
        voted = combined(values, list(self.weights.values()), self._bias_of(first.labels))
        return replace(first, values=voted, run=ENSEMBLE)

    def vote_words(self, tables: Mapping[str, Probabilities], commands: Sequence[str]) -> Probabilities:
        """Return the vote over the finest labels that any member has: all words and silence.

        What the vote gives to unknown is shared among the unknown words as the members with words share it, clip by
        clip (evenly where these give it nothing). So the result, summed, is `vote` over the submission's labels.
        Without any member with words it is that vote. Raises PipelineError as `vote` does, and where two members have
        different words.
        """
        coarse = self.vote(tables, commands)
        submission = set(coarse.labels)
        fine = {run: table for run, table in ordered(self._tempered(tables)).items() if set(table.labels) - submission}
        if not fine:
            return coarse
        check_labels(fine)
        labels = next(iter(fine.values())).labels
        # Where only members without words have a weight, those with words still tell how unknown is shared.
        weights = np.array([max(0.0, self.weights[run]) for run in fine])
        weights = weights if weights.any() else np.ones(len(fine))
        spoken = combined(np.stack([table.values for table in fine.values()]), weights / weights.sum())
        is_word = np.array([label not in {*commands, SILENCE} for label in labels])
        mass = spoken[:, is_word].sum(axis=1, keepdims=True)
        evenly = np.full((len(mass), is_word.sum()), 1 / is_word.sum())
        values = np.empty(spoken.shape)
        for column in np.flatnonzero(~is_word):
            values[:, column] = coarse.values[:, coarse.labels.index(labels[column])]
        values[:, is_word] = coarse.values[:, [coarse.labels.index(UNKNOWN)]] * np.divide(
            spoken[:, is_word], mass, out=evenly, where=mass > 0
        )
        return replace(coarse, labels=labels, values=values)

    def to_dict(self) -> dict[str, Any]:
        """Return what metrics.json and weights.json say of it: rounded numbers."""
        numbers = {"weights": self.weights, "temperatures": self.temperatures, "bias": self.bias}
        return {"method": self.method} | {
            name: {key: round(value, 5) for key, value in of.items()} for name, of in numbers.items() if of
        }

    def _tempered(self, tables: Mapping[str, Probabilities]) -> dict[str, Probabilities]:
        taken = {run: table for run, table in tables.items() if run in self.weights}
        return {run: temperature.tempered(table, self.temperatures.get(run, 1.0)) for run, table in taken.items()}

    def _bias_of(self, labels: Sequence[str]) -> NDArray[np.float64] | None:
        return None if self.bias is None else np.array([self.bias[label] for label in labels])


def combined(
    values: NDArray[np.floating],  # [runs, clips, labels]
    weights: Sequence[float] | NDArray[np.float64],  # [runs]
    bias: NDArray[np.float64] | None = None,  # [labels]
) -> NDArray[np.float64]:
    """Return float64 [clips, labels]: the weighted sum, or with `bias` the stacked product; rows sum to 1."""
    total = np.zeros(values.shape[1:])
    if bias is None:
        for weight, table in zip(weights, values, strict=True):  # in a fixed order: sums of floats depend on it
            total += weight * table
        return total
    total += bias
    for weight, table in zip(weights, values, strict=True):
        total += weight * temperature.logs(table)
    total = np.exp(total - total.max(axis=1, keepdims=True))
    return total / total.sum(axis=1, keepdims=True)
