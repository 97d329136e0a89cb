"""How much of `unknown` a training epoch sees. The test set holds each label about equally often, the archive does not:
twenty unknown words are two thirds of it."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from pipeline.clips.labels import SILENCE, UNKNOWN
from pipeline.settings import Settings


class Rebalancing(Settings):
    """`unknown` is relative to the mean size of a command class; "all" keeps the archive's own balance. Of a run that
    learns `words`, each of which is a label, all clips are in whatever it says.

    `redraw` takes other clips each epoch, so that all are seen in the end; otherwise one draw serves every epoch.
    `even` is for runs with a `presence`: as many clips of the more frequent answer as there are of the other.
    `share` learns from a part of the clips alone, the same part of each word, drawn once.
    `synthetic` is how many synthetic clips (prepare.synthetic) an epoch holds for each clip of the source in it; with
    `synthetic_end` this changes evenly to that share in the last epoch of a network; what learns in one go has the
    first share. An epoch is as long as the longest all the same: clips of the source, drawn once more, take the places.
    """

    share: float = Field(1.0, gt=0, le=1)
    unknown: Annotated[float, Field(ge=0)] | Literal["all"] = 1.0
    redraw: bool = True
    even: bool = False
    synthetic: float = Field(0.0, ge=0)
    synthetic_end: float | None = Field(None, ge=0)

    @property
    def most_synthetic(self) -> float:
        """The largest share of synthetic clips in any epoch."""
        return max(self.synthetic, self.synthetic_end or 0.0)

    def synthetic_at(self, epoch: int, epochs: int) -> float:
        """Return the share of synthetic clips in an epoch of `epochs`, numbered from 0; past the last it stays."""
        if self.synthetic_end is None:
            return self.synthetic
        way = min(epoch / max(1, epochs - 1), 1.0)
        return self.synthetic + way * (self.synthetic_end - self.synthetic)


def epoch_indices(labels: np.ndarray, words: np.ndarray, settings: Rebalancing, epoch: int, seed: int) -> np.ndarray:
    """Return the positions of the clips of one epoch, ascending; a function of its arguments alone.

    `labels` and `words` are str [clips], one entry a training clip. All clips of other labels than `unknown` are in.
    Of `unknown`, each word gets the same share (a word with fewer clips gives all it has). Each epoch takes the next
    stretch of each word's shuffled clips, so no clip comes back before the others of its word had their turn.
    """
    labels, words = np.asarray(labels), np.asarray(words)
    if settings.share < 1:
        part = _stratified(words, settings.share, seed)
        return part[epoch_indices(labels[part], words[part], settings.model_copy(update={"share": 1.0}), epoch, seed)]
    unknown = np.flatnonzero(labels == UNKNOWN)
    known = np.flatnonzero(labels != UNKNOWN)
    commands, sizes = np.unique(labels[(labels != UNKNOWN) & (labels != SILENCE)], return_counts=True)
    if settings.unknown == "all" or len(unknown) == 0 or len(commands) == 0:
        return np.arange(len(labels))
    wanted = round(settings.unknown * float(sizes.mean()))

    generator = np.random.default_rng(seed)
    names, of_word = np.unique(words[unknown], return_inverse=True)
    shuffled = [generator.permutation(unknown[of_word == word]) for word in range(len(names))]
    quotas = _even_quotas(np.array([len(clips) for clips in shuffled]), wanted, generator)
    turn = epoch if settings.redraw else 0
    drawn = [
        clips[np.arange(turn * quota, (turn + 1) * quota) % len(clips)]
        for clips, quota in zip(shuffled, quotas, strict=True)
    ]
    return np.sort(np.concatenate([known, *drawn]))


def balanced_epoch_indices(answers: np.ndarray, settings: Rebalancing, epoch: int, seed: int) -> np.ndarray:
    """Return the positions of the clips of one epoch, ascending: equally many of each answer.

    `answers` is int [clips]. Each epoch takes the next stretch of the shuffled clips of each answer.
    """
    generator = np.random.default_rng(seed)
    shuffled = [generator.permutation(np.flatnonzero(answers == answer)) for answer in np.unique(answers)]
    size = min(len(clips) for clips in shuffled)
    turn = epoch if settings.redraw else 0
    stretch = np.arange(turn * size, (turn + 1) * size)
    return np.sort(np.concatenate([clips[stretch % len(clips)] for clips in shuffled]))


def _even_quotas(sizes: np.ndarray, wanted: int, generator: np.random.Generator) -> np.ndarray:
    """Return int [words]: `wanted` shared out as evenly as `sizes` allow; who gets one more is drawn."""
    quotas = np.zeros_like(sizes)
    left = min(wanted, int(sizes.sum()))
    order = generator.permutation(len(sizes))
    while left > 0:
        open_words = order[quotas[order] < sizes[order]]
        share = left // len(open_words)
        if share == 0:
            quotas[open_words[:left]] += 1
            break
        given = np.minimum(share, sizes[open_words] - quotas[open_words])
        quotas[open_words] += given
        left -= int(given.sum())
    return quotas


def next_stretch(clips: int, wanted: int, epoch: int, seed: int | list[int]) -> np.ndarray:
    """Return which of `clips` an epoch holds, int [at most wanted], ascending.

    Each epoch takes the next stretch of the shuffled clips, so that none comes back before the others had their turn.
    """
    wanted = min(wanted, clips)
    return stretch(clips, epoch * wanted, wanted, seed)


def stretch(clips: int, start: int, wanted: int, seed: int | list[int]) -> np.ndarray:
    """Return `wanted` of `clips`, int [wanted], ascending: from `start` on in a shuffled order that goes round."""
    shuffled = np.random.default_rng(seed).permutation(clips)
    return np.sort(shuffled[np.arange(start, start + wanted) % max(1, clips)])


def oversample(targets: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return positions in `targets` (int [clips]), ascending, that hold each label as often as the most frequent one.

    All clips are in; those of rarer labels are drawn again at random.
    """
    labels, counts = np.unique(targets, return_counts=True)
    again = [
        generator.choice(np.flatnonzero(targets == label), counts.max() - count)
        for label, count in zip(labels, counts, strict=True)
    ]
    return np.sort(np.concatenate([np.arange(len(targets)), *again]))


def _stratified(words: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Return the positions of the same share of each word, ascending, at least one clip of each."""
    generator = np.random.default_rng([seed, 30])  # another stream than that of the epochs' draws
    parts = []
    for word in np.unique(words):
        clips = generator.permutation(np.flatnonzero(words == word))
        parts.append(clips[: max(1, round(share * len(clips)))])
    return np.sort(np.concatenate(parts))
