"""What the nets of one fold learn from: the corpus's clips of the other folds, and for students the test clips too."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.clips.corpus import Corpus
from pipeline.clips.labels import SILENCE, UNKNOWN
from pipeline.errors import PipelineError
from pipeline.examples import pseudo_labels
from pipeline.examples.augmentation import Augmentation, Augmenter
from pipeline.examples.background import background_of
from pipeline.examples.pseudo_labels import PseudoLabels
from pipeline.examples.rebalancing import Rebalancing, balanced_epoch_indices, epoch_indices, stretch
from pipeline.examples.target import Target
from pipeline.examples.task import Task
from pipeline.examples.training_data import Examples, TrainingData, unaugmented
from pipeline.features.hidden_states import HiddenStates


@dataclass(frozen=True)
class SoftLabels:
    """The test clips that a student learns from: `rows` int [clips] of the corpus, `values` float32 [clips, labels]."""

    rows: NDArray[np.int64]
    values: NDArray[np.float32]
    settings: PseudoLabels

    @property
    def digest(self) -> str:
        """The SHA-256 of which clips are learnt as what."""
        return hashlib.sha256(self.rows.tobytes() + self.values.tobytes()).hexdigest()


def training_data_of(
    corpus: Corpus,
    fold: int,
    task: Task,
    target: Target,
    read: Callable[[NDArray[np.int64]], NDArray[Any]],
    augmentation: Augmentation,
    rebalancing: Rebalancing,
    seed: int,
    soft: SoftLabels | None = None,
    epochs: int = 1,
) -> TrainingData:
    """Return what the nets of `fold` learn from in `epochs`: clips whose target is known, and `soft` beside them.

    Raises PipelineError if there is no such clip to train or to judge with.
    """
    layers = read.layers if isinstance(read, HiddenStates) else ()

    def examples(rows: NDArray[np.int64], purpose: str) -> Examples:
        rows = target.among(rows)
        if len(rows) == 0:
            raise PipelineError(
                f"The corpus in {corpus.folder} has no clip whose {task.target} is known to {purpose} fold {fold} "
                "with. See prepare.splits."
            )
        return Examples(read, rows, target.values[rows], layers=layers, exclusive=target.exclusive)

    train = examples(corpus.training_rows(fold), "train")
    validation = examples(corpus.judged_rows(fold), "judge")
    if task.is_submitted:
        labels, words = np.array(target.labels)[train.targets], corpus.rows["word"].to_numpy()[train.rows]

    def of_archive(epoch: int) -> NDArray[np.int64]:
        if task.is_submitted:
            return epoch_indices(labels, words, rebalancing, epoch, seed)
        if task.presence is not None and rebalancing.even:
            return balanced_epoch_indices(train.targets, rebalancing, epoch, seed)
        return np.arange(len(train.rows))

    spoken = _synthetic_rows(corpus, fold, target, rebalancing)
    kinds = [(np.arange(len(spoken)), 1.0)]
    if task.is_submitted and rebalancing.unknown != "all":
        kinds = _kinds(np.array(target.labels)[target.values[spoken]], rebalancing.unknown)
    most = min(int(len(positions) / share) for positions, share in kinds)
    asked = round(rebalancing.most_synthetic * len(of_archive(0))) if len(spoken) else 0

    def of_all(epoch: int) -> NDArray[np.int64]:
        """Clips of the source first, some of them twice where synthetic ones leave room, then those of the test set."""
        drawn = [of_archive(epoch)]
        real, start = len(drawn[0]), len(train.rows)
        if len(spoken):
            shares = [rebalancing.synthetic_at(each, epochs) for each in (0, epochs, *range(epoch + 1))]
            first, last, *held = (min(most, round(share * real)) for share in shares)
            free = [max(first, last) - each for each in held]
            drawn.append(drawn[0][stretch(real, sum(free[:-1]), free[-1], [seed, 33])])
            drawn.append(start + _in_turn(kinds, held, seed))
            start += len(spoken)
        if soft is not None:
            drawn.append(start + pseudo_labels.epoch_indices(len(soft.rows), real, soft.settings, epoch, seed))
        return np.concatenate(drawn)

    rows, targets = np.concatenate([train.rows, spoken]), np.concatenate([train.targets, target.values[spoken]])
    if soft is not None:
        certain = np.eye(len(target.labels), dtype=np.float32)[targets]
        rows, targets = np.concatenate([rows, soft.rows]), np.concatenate([certain, soft.values])
    is_audio = read == corpus.samples and corpus.has_audio
    return TrainingData(
        train=Examples(read, rows, targets, layers=layers, exclusive=target.exclusive),
        validation=validation,
        epoch_indices=of_all,
        augment=Augmenter(augmentation, background_of(corpus, fold)) if is_audio else unaugmented,
        seed=seed,
        judged=judged_labels(corpus, target.labels) if task.is_submitted else None,
        note="\n".join([*_absent(target.absent), *_capped(most, asked)]),
    )


def _synthetic_rows(corpus: Corpus, fold: int, target: Target, rebalancing: Rebalancing) -> NDArray[np.int64]:
    """Return the rows of synthetic clips whose target is known, none where an epoch shall hold none.

    Raises PipelineError if an epoch shall hold some and there are none, or none of which the target is known.
    """
    there, most = corpus.synthetic_rows(fold), rebalancing.most_synthetic
    rows = target.among(there)
    if not most:
        return rows[:0]
    if len(rows) == 0 and len(there):
        raise PipelineError(
            "A run's rebalancing asks for synthetic clips, of which the word alone is known; it learns another thing.\n"
            "Delete the run's rebalancing.synthetic in params.yaml."
        )
    if len(rows) == 0:
        raise PipelineError(
            f"The corpus in {corpus.folder} has no synthetic clips, and a run's rebalancing asks for {most:g} "
            "for each clip of the source.\n"
            "Set prepare.synthetic in params.yaml, or delete the run's rebalancing.synthetic."
        )
    return rows


def _absent(names: tuple[str, ...]) -> Iterator[str]:
    if names:
        yield f"presence.of names what no training clip has, which changes nothing: {', '.join(names)}."


def _capped(most: int, asked: int) -> Iterator[str]:
    if asked > most:
        yield (
            f"rebalancing.synthetic asks for {asked:,} synthetic clips an epoch; it has {most:,}: prepare.synthetic "
            "made no more that keep the balance of `unknown`."
        )


def _kinds(labels: NDArray[np.str_], ratio: float) -> list[tuple[NDArray[np.int64], float]]:
    """Return the positions of the synthetic clips in parts, each with its share of those that an epoch holds.

    Those of `unknown` have the same ratio to those of a command as the recorded ones: most synthetic clips are of
    unknown words, and would undo the balance.
    """
    unknown, known = np.flatnonzero(labels == UNKNOWN), np.flatnonzero(labels != UNKNOWN)
    if not len(unknown) or not len(known):
        return [(np.arange(len(labels)), 1.0)]
    share = ratio / (ratio + len(np.unique(labels[known])))
    return [(known, 1 - share), (unknown, share)] if share else [(known, 1.0)]


def _in_turn(kinds: list[tuple[NDArray[np.int64], float]], held: list[int], seed: int) -> NDArray[np.int64]:
    """Return which synthetic clips the last of the epochs has that hold `held` of them, of each kind the next ones."""
    drawn, before = [], 0.0
    for number, (positions, share) in enumerate(kinds):
        own = [round((before + share) * each) - round(before * each) for each in held]
        before += share
        drawn.append(positions[stretch(len(positions), sum(own[:-1]), own[-1], [seed, 32, number])])
    return np.concatenate(drawn)


def judged_labels(corpus: Corpus, labels: list[str]) -> NDArray[np.int64]:
    """Return int [labels]: which label of the submission each stands for, words that are no command for unknown."""
    submitted = corpus.vocabulary.submission_labels
    known = {*corpus.vocabulary.commands, SILENCE}
    return np.array([submitted.index(label if label in known else UNKNOWN) for label in labels])
