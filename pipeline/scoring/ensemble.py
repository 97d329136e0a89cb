"""The weighted vote of several runs: a sum of their probabilities over the submission's labels."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from pipeline import metrics
from pipeline.errors import PipelineError
from pipeline.metrics import count
from pipeline.scoring.probabilities import Probabilities
from pipeline.settings import Settings

NAME = "ensemble"
# Powers of the accuracy, from the plain weighting to all but the best run alone.
POWERS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)


class Ensemble(Settings):
    """The section `ensemble`. `runs`: which take part, None for all that answer the competition's question.

    `weights`: `accuracy` (on validation, under decide.prior, to the power `sharpness`), `equal`, or a mapping of run
    to weight. `sharpness: auto` starts at 1, the plain accuracy, and doubles the power until the vote is no worse on
    the validation clips than the best single run; if it always is, that run votes alone.
    """

    runs: list[str] | None = None
    weights: Literal["accuracy", "equal"] | dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = "accuracy"
    sharpness: Literal["auto"] | Annotated[float, Field(ge=0, le=100)] = "auto"

    def members(self, runs: Sequence[str]) -> list[str]:
        """Return the runs that vote. Raises PipelineError for one that params.yaml does not list, or for none."""
        members = list(runs) if self.runs is None else self.runs
        named = [*members, *(self.weights if isinstance(self.weights, dict) else ())]
        strange = sorted(set(named) - set(runs))
        if strange or not members or len(set(members)) < len(members):
            found = f"unknown: {', '.join(strange)}" if strange else f"found {members}"
            raise PipelineError(
                f"params.yaml, section ensemble: it needs runs that are listed under 'runs' and answer one question, "
                f"each once; {found}. Such runs: {', '.join(runs)}"
            )
        return members


def weigh(
    settings: Ensemble,
    tables: Mapping[str, Probabilities],
    truth: Sequence[str],
    commands: Sequence[str] | None,
    shares: np.ndarray | None,
) -> dict[str, float]:
    """Return each run's weight, sum 1, from validation tables; `truth` are the labels in the clip order of the first.

    `shares` is the prior [commands + unknown + silence]; without `commands` and `shares`, the tables' own labels count
    and each clip alike; a clip whose truth is "" is not judged.
    Raises PipelineError if all weights are 0 or the clips differ.
    """
    if settings.weights == "equal":
        return {run: 1 / len(tables) for run in tables}
    if isinstance(settings.weights, dict):
        return _normalised({run: settings.weights.get(run, 0.0) for run in tables})
    tables = _aligned(tables, commands)
    accuracies = {run: _accuracy(table, truth, shares) for run, table in tables.items()}
    if settings.sharpness != "auto":
        return _normalised({run: accuracy**settings.sharpness for run, accuracy in accuracies.items()})
    best = max(accuracies, key=accuracies.__getitem__)
    for power in POWERS:
        weights = _normalised({run: accuracy**power for run, accuracy in accuracies.items()})
        if _accuracy(vote(tables, weights, commands), truth, shares) >= accuracies[best]:
            return weights
    return {run: float(run == best) for run in tables}


def vote(
    tables: Mapping[str, Probabilities], weights: Mapping[str, float], commands: Sequence[str] | None
) -> Probabilities:
    """Return the weighted sum over [*commands, unknown, silence], in the clip order of the first table.

    Without `commands`, over the tables' own labels, which must be the same.

    Raises PipelineError if the tables hold different clips or were made of different corpora.
    """
    aligned = _aligned(tables, commands)
    first = next(iter(aligned.values()))
    total = sum(weights[run] * table.values.astype(np.float64) for run, table in aligned.items())
    return Probabilities(first.clips, first.labels, np.asarray(total), NAME, first.corpus, first.exclusive)


def _aligned(tables: Mapping[str, Probabilities], commands: Sequence[str] | None) -> dict[str, Probabilities]:
    """Return the tables over the submission's labels, all in the clip order of the first."""
    first_run, first = next(iter(tables.items()))
    aligned = {}
    for run, table in tables.items():
        shared = len(set(first.clips) & set(table.clips))
        if not shared == len(first.clips) == len(table.clips) or table.corpus != first.corpus:
            raise PipelineError(
                f"The probabilities of runs '{first_run}' and '{run}' are of different clips or corpora "
                f"({len(first.clips)} and {len(table.clips)} clips, {shared} shared). "
                "Run `dvc repro` to predict both anew."
            )
        place = {clip: row for row, clip in enumerate(table.clips)}
        table = table if commands is None else table.to_submission_labels(commands)
        if table.labels != first.labels and commands is None:
            raise PipelineError(
                f"The runs '{first_run}' and '{run}' answer different questions ({len(first.labels)} and "
                f"{len(table.labels)} labels), so they cannot vote together. Set ensemble.runs in params.yaml."
            )
        values = table.values[[place[clip] for clip in first.clips]]
        aligned[run] = Probabilities(first.clips, table.labels, values, run, table.corpus, table.exclusive)
    return aligned


def _normalised(weights: dict[str, float]) -> dict[str, float]:
    total = sum(weights.values())
    if total <= 0:
        raise PipelineError(
            "The ensemble's weights are all 0. Change ensemble.weights or ensemble.runs in params.yaml."
        )
    return {run: weight / total for run, weight in weights.items()}


def _accuracy(table: Probabilities, truth: Sequence[str], shares: np.ndarray | None) -> float:
    predicted = [table.labels[column] for column in table.values.argmax(axis=1)]
    known = [place for place, label in enumerate(truth) if label]
    counts = count([truth[place] for place in known], [predicted[place] for place in known], table.labels)
    return metrics.accuracy(counts, shares)
