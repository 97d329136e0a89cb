"""The vote of several runs: who takes part, how it is chosen, and what it is worth on clips that had no say in it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.scoring import paired
from pipeline.scoring.alignment import aligned
from pipeline.scoring.combination import Combination
from pipeline.scoring.nested import OutOfFold
from pipeline.scoring.paired import Gain
from pipeline.scoring.settings import MEAN, METHODS, Ensemble, Method
from pipeline.scoring.voting_methods import VotingData, fit, normalised

CHOSEN, GIVEN = "best", "given"  # what the settings chose, by whatever method; what was told them


@dataclass(frozen=True)
class Compared:
    """An accuracy on clips that had no say in what decides them, and its gain over another's: of the same clips."""

    accuracy: float
    gain: Gain | None = None

    def to_dict(self) -> dict[str, Any]:
        return {"estimate": round(self.accuracy, 5), "gain": self.gain and self.gain.rounded()}


@dataclass(frozen=True)
class Vote:
    """The vote, its tables, and what it was compared with: nothing where a clip may have several labels.

    `tried` are the methods, with their gains over the mean of the runs, and `best`, which chooses among them for each
    block anew. `best_run` is the run whose own estimate is the highest, with the vote's gain over it: picked by that
    figure, it is judged a little kindly. `picked_run` is not: in each block it is the run that does best in the other
    blocks, as one would pick it to submit it alone. All decide by the likeliest label.
    """

    combination: Combination
    out_of_fold: OutOfFold
    tried: Mapping[str, Compared] = field(default_factory=dict)
    best_run: tuple[str, Compared] | None = None
    picked_run: Compared | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what metrics.json says of it."""
        told = {**self.combination.to_dict(), "tried": {method: of.to_dict() for method, of in self.tried.items()}}
        return told | {
            "against_best_run": self.best_run and {"run": self.best_run[0], **self.best_run[1].to_dict()},
            "against_picked_run": self.picked_run and self.picked_run.to_dict(),
        }

    def report(self) -> str:
        """Return the same as lines to print."""
        lines = [self.combination.note] if self.combination.note else []
        if self.tried:
            lines.append(
                f"The vote: {self.combination.method}. Nested accuracy of each, and its gain over the mean (95 %):"
            )
        for method, of in self.tried.items():
            lines.append(f"  {method:<10}{of.accuracy:.4f}  {of.gain or ''}".rstrip())
        if self.best_run:
            run, of = self.best_run
            lines.append(f"The vote against the best single run, {run} ({of.accuracy:.4f}): {of.gain}")
        if self.picked_run:
            of = self.picked_run
            lines.append(f"The vote against a single run that was picked on other clips ({of.accuracy:.4f}): {of.gain}")
        return "\n".join(lines)


def fit_vote(
    settings: Ensemble,
    members: Mapping[str, OutOfFold],
    truth: NDArray[Any],
    commands: Sequence[str] | None,
    shares: np.ndarray | None,
) -> Vote:
    """Return the vote over the members' out-of-fold clips, its nested tables by what was chosen without the block.

    `truth`, `commands` and `shares` are as in `VotingData`, the truth in the clip order of the first member.
    Raises PipelineError if the members hold different clips or labels, or all weights of the settings are 0.
    """
    first = next(iter(members.values()))
    blocks, exclusive = np.unique(first.blocks).tolist(), truth.ndim == 1
    tried = _methods(settings, exclusive, len(members))
    nested: dict[int, Any] = {}
    ways, alone = _undecided([*tried, CHOSEN], truth), _undecided(members, truth)
    picked = np.full(len(truth), -1)
    for block in blocks:
        inside = first.blocks == block
        tables = {run: member.without(block) for run, member in members.items()}
        evidence = VotingData.of(tables, truth, first.speakers, commands, shares, settings.temperature).without(inside)
        chosen = choose(settings, evidence, first.blocks)
        nested[block] = chosen.vote(tables, commands)
        if exclusive:
            within = {run: table.select(inside) for run, table in evidence.tables.items()}
            for method in tried:
                ways[method][inside] = _fit(settings, method, evidence).vote(within, commands).values.argmax(axis=1)
            ways[CHOSEN][inside] = nested[block].select(inside).values.argmax(axis=1)
            runs = aligned(evidence.tables, commands)
            for run, table in runs.items():
                alone[run][inside] = table.values[inside].argmax(axis=1)
            best_elsewhere = max(runs, key=lambda run: evidence.figure(runs[run].values))
            picked[inside] = alone[best_elsewhere][inside]
    final = {run: member.table for run, member in members.items()}
    everything = VotingData.of(final, truth, first.speakers, commands, shares, settings.temperature)
    is_given = isinstance(settings.weights, dict)
    shown = [*tried, CHOSEN] if is_given or len(tried) == len(METHODS) else tried
    compared = _compared(everything, ways, shown) if exclusive else {}
    if is_given and compared:
        compared[GIVEN] = compared.pop(CHOSEN)
    combination = _chosen(settings, everything, compared)
    table = combination.vote(final, commands)
    keeps = settings.is_fitted or any(member.nested for member in members.values())
    voted = OutOfFold(table, first.speakers, first.blocks, nested if keeps else {})
    if not exclusive or len(members) < 2 or not len(everything.known):
        return Vote(combination, voted, compared)
    best = max(members, key=lambda run: _accuracy(everything, alone[run]))
    against = [
        Compared(_accuracy(everything, own), _gain(everything, ways[CHOSEN], own)) for own in (alone[best], picked)
    ]
    # Of one block alone, nothing is left to pick on.
    return Vote(combination, voted, compared, (best, against[0]), against[1] if len(blocks) > 1 else None)


def choose(settings: Ensemble, evidence: VotingData, blocks: NDArray[np.int64]) -> Combination:
    """Return what the settings ask for, fitted on the clips that have a say; `best` is tried on their `blocks`."""
    tried = _methods(settings, evidence.exclusive, len(evidence.tables))
    if settings.weights != "best" or len(tried) < 2:
        return _chosen(settings, evidence, {})
    own = _undecided(tried, evidence.truth)
    judges = np.zeros(len(blocks), bool)
    judges[evidence.known] = True
    for block in np.unique(blocks[judges]).tolist():
        inside = judges & (blocks == block)
        others = evidence.without(inside)
        within = {run: table.select(inside) for run, table in evidence.tables.items()}
        for method in tried:
            voted = _fit(settings, method, others).vote(within, evidence.commands)
            own[method][inside] = voted.values.argmax(axis=1)
    return _chosen(settings, evidence, _compared(evidence, own, tried))


def _methods(settings: Ensemble, exclusive: bool, runs: int) -> tuple[Method, ...]:
    """Return what is tried, the yardstick first; none where a clip may have several labels."""
    if not exclusive:
        return ()
    if settings.weights == "best" and runs > 1:
        return METHODS
    return tuple(dict.fromkeys((MEAN, *(method for method in METHODS if method == settings.weights))))


def _chosen(settings: Ensemble, evidence: VotingData, compared: Mapping[str, Compared]) -> Combination:
    """Return the vote that the settings ask for; `best` by how the methods compared."""
    if isinstance(settings.weights, dict):
        given = {run: settings.weights.get(run, 0.0) for run in evidence.tables}
        if not any(given.values()):
            raise PipelineError(
                "The ensemble's weights are all 0. Change ensemble.weights or ensemble.runs in params.yaml."
            )
        mean = _fit(settings, MEAN, evidence)
        return Combination(GIVEN, normalised(given), mean.temperatures)
    if settings.weights != "best":
        return _fit(settings, settings.weights, evidence)
    better = {name: of.gain.value for name, of in compared.items() if of.gain is not None and of.gain.is_sure}
    best = max(METHODS, key=lambda method: better.get(method, 0.0))  # the mean where none is better
    return _fit(settings, best, evidence)


def _fit(settings: Ensemble, method: Method, evidence: VotingData) -> Combination:
    return fit(method, evidence, settings.sharpness, settings.temperature)


def _undecided(names: Iterable[str], truth: NDArray[Any]) -> dict[str, NDArray[np.int64]]:
    return {name: np.full(len(truth), -1) for name in names}


def _compared(
    evidence: VotingData, decided: Mapping[str, NDArray[np.int64]], methods: Sequence[str]
) -> dict[str, Compared]:
    """Return how the methods compare with the mean, by what each decided."""
    if not len(evidence.known):
        return {}
    return {
        method: Compared(
            _accuracy(evidence, decided[method]),
            None if method == MEAN else _gain(evidence, decided[method], decided[MEAN]),
        )
        for method in methods
    }


def _accuracy(evidence: VotingData, decided: NDArray[np.int64]) -> float:
    return evidence.figure(np.eye(_labels(evidence))[decided])


def _gain(evidence: VotingData, first: NDArray[np.int64], second: NDArray[np.int64]) -> Gain:
    return paired.gain(evidence.truth, first, second, evidence.speakers, _labels(evidence), evidence.shares)


def _labels(evidence: VotingData) -> int:
    """Return how many labels the truth is one of."""
    own = next(iter(evidence.tables.values())).labels
    return len(own) if evidence.commands is None else len(evidence.commands) + 2  # unknown and silence
