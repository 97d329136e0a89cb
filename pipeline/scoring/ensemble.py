"""The weighted vote of several runs: a sum of their probabilities."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline import metrics
from pipeline.clips.labels import SILENCE, UNKNOWN
from pipeline.errors import PipelineError
from pipeline.scoring.nested import OutOfFold
from pipeline.scoring.probabilities import Probabilities
from pipeline.settings import Settings

NAME = "ensemble"
# Powers of the accuracy, from the plain weighting to all but the best run alone.
POWERS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)


class Ensemble(Settings):
    """The section `ensemble`. `runs`: which take part, None for all that answer the competition's question.

    `weights`: `accuracy` (out of fold, under decide.prior, to the power `sharpness`), `equal`, or a mapping of run to
    weight. `sharpness: auto` starts at 1, the plain accuracy, and doubles the power until the vote is no worse on the
    out-of-fold clips than the best single run; if it always is, that run votes alone. Where a clip may have several
    labels, the weights are mean average precisions.
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


@dataclass(frozen=True)
class Vote:
    """Each run's weight, sum 1, and the vote's own table; `note` says what a reader should know of the weights."""

    weights: dict[str, float]
    out_of_fold: OutOfFold
    note: str = ""


def fit_vote(
    settings: Ensemble,
    members: Mapping[str, OutOfFold],
    truth: NDArray[Any],
    commands: Sequence[str] | None,
    shares: np.ndarray | None,
) -> Vote:
    """Return the vote over the members' out-of-fold clips, its nested tables with weights fitted without the block.

    `truth`, `commands` and `shares` are as in `weigh`, the truth in the clip order of the first member.
    Raises PipelineError as `weigh` and `vote` do.
    """
    first = next(iter(members.values()))
    final = {run: member.table for run, member in members.items()}
    weights, note = weigh(settings, final, truth, commands, shares)
    nested = {}
    if settings.weights == "accuracy" or any(member.nested for member in members.values()):
        for block in np.unique(first.blocks).tolist():
            tables = _aligned({run: member.without(block) for run, member in members.items()}, commands)
            own = weigh(settings, tables, _without(truth, first.blocks == block), commands, shares)[0]
            nested[block] = vote(tables, own, commands)
    return Vote(weights, OutOfFold(vote(final, weights, commands), first.speakers, first.blocks, nested), note)


def weigh(
    settings: Ensemble,
    tables: Mapping[str, Probabilities],
    truth: NDArray[Any],
    commands: Sequence[str] | None,
    shares: np.ndarray | None,
) -> tuple[dict[str, float], str]:
    """Return each run's weight, sum 1, and a note where they are not what the settings ask for, else "".

    `truth` is in the clip order of the first table: int64 [clips], an index into [*commands, unknown, silence] (the
    tables' own labels without `commands`), or float32 [clips, labels] where a clip may have several; a clip of -1 or
    NaN is not judged. `shares` is the prior over these labels; without it each clip counts alike.
    Raises PipelineError if all weights of the settings are 0 or the clips differ.
    """
    if settings.weights == "equal":
        return _equal(tables), ""
    if isinstance(settings.weights, dict):
        given = {run: settings.weights.get(run, 0.0) for run in tables}
        if not any(given.values()):
            raise PipelineError(
                "The ensemble's weights are all 0. Change ensemble.weights or ensemble.runs in params.yaml."
            )
        return _normalised(given), ""
    tables = _aligned(tables, commands)
    figures = {run: _figure(table.values, truth, shares) for run, table in tables.items()}
    if not any(figures.values()):
        return _equal(tables), "No run recognised any of the clips that weigh the votes, so all weigh the same."
    if truth.ndim == 2:
        return _normalised(figures), ""
    if settings.sharpness != "auto":
        return _normalised({run: figure**settings.sharpness for run, figure in figures.items()}), ""
    best = max(figures, key=figures.__getitem__)
    for power in POWERS:
        weights = _normalised({run: figure**power for run, figure in figures.items()})
        if _figure(_weighted(tables, weights), truth, shares) >= figures[best]:
            return weights, ""
    return {run: float(run == best) for run in tables}, f"No vote was as good as the run '{best}', so it votes alone."


def vote(
    tables: Mapping[str, Probabilities], weights: Mapping[str, float], commands: Sequence[str] | None
) -> Probabilities:
    """Return the weighted sum over [*commands, unknown, silence], in the clip order of the first table.

    Without `commands`, over the tables' own labels, which must be the same.
    Raises PipelineError if the tables hold different clips or were made of different corpora.
    """
    aligned = _aligned(tables, commands)
    first = next(iter(aligned.values()))
    return Probabilities(first.clips, first.labels, _weighted(aligned, weights), NAME, first.corpus, first.exclusive)


def vote_words(
    tables: Mapping[str, Probabilities], weights: Mapping[str, float], commands: Sequence[str]
) -> Probabilities:
    """Return the weighted sum over the finest labels that any member has: all words and silence.

    What a member without words gives to unknown is shared among the unknown words as the members with words share it,
    clip by clip (evenly where these give it nothing), so that the result, summed, is `vote` over the submission's
    labels. Without any member with words it is that vote. Raises PipelineError as `vote` does, and where two members
    have different words.
    """
    ordered = _ordered(tables)
    submission = {*commands, UNKNOWN, SILENCE}
    with_words = {run: table for run, table in ordered.items() if set(table.labels) - submission}
    if not with_words:
        return vote(tables, weights, commands)
    spoken = next(iter(with_words.values()))
    _check_labels(with_words)
    values = _weighted(with_words, weights)
    # Where only members without words have a weight, those with words still tell how unknown is shared.
    sharing = values if values.any() else _weighted(with_words, _equal(with_words))
    is_word = np.array([label not in {*commands, SILENCE} for label in spoken.labels])
    mass = sharing[:, is_word].sum(axis=1, keepdims=True)
    shares = np.divide(
        sharing[:, is_word], mass, out=np.full((len(mass), is_word.sum()), 1 / is_word.sum()), where=mass > 0
    )
    for run in (run for run in ordered if run not in with_words):  # in a fixed order: sums of floats depend on it
        summed = ordered[run].to_submission_labels(commands)
        for column in np.flatnonzero(~is_word):
            values[:, column] += weights[run] * summed.values[:, summed.labels.index(spoken.labels[column])]
        values[:, is_word] += weights[run] * summed.values[:, [summed.labels.index(UNKNOWN)]] * shares
    return Probabilities(spoken.clips, spoken.labels, values, NAME, spoken.corpus, spoken.exclusive)


def _ordered(tables: Mapping[str, Probabilities]) -> dict[str, Probabilities]:
    """Return the tables in the clip order of the first."""
    first_run, first = next(iter(tables.items()))
    ordered = {}
    for run, table in tables.items():
        same = table.clips == first.clips
        shared = len(first.clips) if same else len(set(first.clips) & set(table.clips))
        if not shared == len(first.clips) == len(table.clips) or table.corpus != first.corpus:
            raise PipelineError(
                f"The probabilities of runs '{first_run}' and '{run}' are of different clips or corpora "
                f"({len(first.clips)} and {len(table.clips)} clips, {shared} shared). "
                "Run `dvc repro` to predict both anew."
            )
        if not same:
            index = {clip: row for row, clip in enumerate(table.clips)}
            table = table.select(np.array([index[clip] for clip in first.clips]))
        ordered[run] = table
    return ordered


def _aligned(tables: Mapping[str, Probabilities], commands: Sequence[str] | None) -> dict[str, Probabilities]:
    """Return the tables over the submission's labels (their own without `commands`), in the first one's clip order."""
    ordered = _ordered(tables)
    if commands is not None:
        return {run: table.to_submission_labels(commands) for run, table in ordered.items()}
    _check_labels(ordered)
    return ordered


def _check_labels(tables: Mapping[str, Probabilities]) -> None:
    first_run, first = next(iter(tables.items()))
    for run, table in tables.items():
        if table.labels != first.labels:
            raise PipelineError(
                f"The runs '{first_run}' and '{run}' answer different questions ({len(first.labels)} and "
                f"{len(table.labels)} labels), so they cannot vote together. Set ensemble.runs in params.yaml."
            )


def _weighted(tables: Mapping[str, Probabilities], weights: Mapping[str, float]) -> NDArray[np.float64]:
    total = np.zeros(next(iter(tables.values())).values.shape)
    for run, table in tables.items():
        total += weights[run] * table.values
    return total


def _equal(tables: Mapping[str, Probabilities]) -> dict[str, float]:
    return {run: 1 / len(tables) for run in tables}


def _normalised(weights: Mapping[str, float]) -> dict[str, float]:
    total = sum(weights.values())
    return {run: weight / total for run, weight in weights.items()}


def _without(truth: NDArray[Any], clips: NDArray[np.bool_]) -> NDArray[Any]:
    """Return the truth with these clips not judged."""
    return np.where(clips[:, None] if truth.ndim == 2 else clips, np.nan if truth.ndim == 2 else -1, truth)


def _figure(values: NDArray[Any], truth: NDArray[Any], shares: np.ndarray | None) -> float:
    """Return the accuracy, or the mean average precision where a clip may have several labels; 0 of no clips."""
    known = ~np.isnan(truth).any(axis=1) if truth.ndim == 2 else truth >= 0
    if not known.any() or (truth.ndim == 1 and shares is not None and not shares[truth[known]].any()):
        return 0.0
    if truth.ndim == 2:
        return float(np.nanmean(metrics.average_precisions(truth[known] > 0.5, values[known])))
    counts = metrics.confusion(truth[known], values[known].argmax(axis=1), values.shape[1])
    return metrics.accuracy(counts, shares)
