"""Whether one way of deciding is better than another: the same clips by both, so that what they share drops out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.metrics import ALONE, alike, bootstrap_widening

RESAMPLES = 2000
STANDARD_ERRORS = 2.0  # by which a gain must be above zero to be sure
COUNTS = 5_000_000  # how often each speaker was drawn, of so many resamples at once: 40 MB


@dataclass(frozen=True)
class Gain:
    """By how much one accuracy is above another, with the standard error and the 95 % interval of the difference."""

    value: float
    error: float
    low: float
    high: float

    @property
    def is_sure(self) -> bool:
        """Whether it is above zero by more than STANDARD_ERRORS of it."""
        return self.value > STANDARD_ERRORS * self.error

    def rounded(self) -> dict[str, float]:
        """Return the four numbers as metrics.json has them."""
        return {name: round(value, 5) for name, value in vars(self).items()}

    def __str__(self) -> str:
        return f"{self.value:+.4f} ({self.low:+.4f} to {self.high:+.4f})"


def gain(
    truth: NDArray[np.int64],  # [clips], -1 where it is not known
    first: NDArray[np.int64],  # [clips], what was decided
    second: NDArray[np.int64],
    speakers: Sequence[str],  # [clips]
    labels: int,
    shares: NDArray[np.float64] | None = None,
    seed: int = 0,
) -> Gain:
    """Return how much more accurate `first` is than `second`.

    With `shares` [labels], the accuracies are as if the labels were that frequent; else each clip counts alike. The
    clips of one speaker are alike, so the bootstrap draws speakers (Field and Welsh, JRSS B 69, 2007), both decisions
    of a clip together; of few, the error and the interval are wider (`metrics.widening`). One speaker who judges nearly
    all tells nothing of others: the interval is then -1 to 1.
    Raises PipelineError if no label with a share has a clip.
    """
    known = truth >= 0
    truth, right = truth[known], np.stack([first[known] == truth[known], second[known] == truth[known]])
    groups = np.unique(np.asarray(speakers, dtype=str)[known], return_inverse=True)[1]
    cells = groups * labels + truth
    size = (int(groups.max(initial=-1)) + 1) * labels
    clips = np.bincount(cells, minlength=size).reshape(-1, labels).astype(float)  # [speakers, labels]
    more = np.bincount(cells, right[0].astype(float) - right[1], minlength=size).reshape(-1, labels)
    if not len(clips) or (shares is not None and not shares[clips.sum(axis=0) > 0].any()):
        raise PipelineError("None of the labels that the prior gives a share has a clip. Change decide.prior.")
    every = _difference(clips.sum(axis=0)[None], more.sum(axis=0)[None], shares)[0]
    owners = alike(_owned(clips, shares))
    if owners < ALONE:
        return Gain(float(every), 1.0, -1.0, 1.0)
    drawn = []
    generator = np.random.default_rng(seed)
    at_once = max(1, COUNTS // len(clips))
    for start in range(0, RESAMPLES, at_once):
        times = generator.multinomial(
            len(clips), np.full(len(clips), 1 / len(clips)), min(at_once, RESAMPLES - start)
        ).astype(float)
        drawn.append(_difference(times @ clips, times @ more, shares))
    found = np.concatenate(drawn)
    wider = bootstrap_widening(owners)
    low, high = np.clip(every + wider * (np.percentile(found, [2.5, 97.5]) - every), -1, 1)
    return Gain(float(every), float(wider * found.std()), float(low), float(high))


def _owned(clips: np.ndarray, shares: np.ndarray | None) -> np.ndarray:
    """Return how much each speaker says in the judgement: [speakers] of counts [speakers, labels]."""
    if shares is None:
        return clips.sum(axis=1)
    return clips @ np.where(clips.sum(axis=0) > 0, shares / np.maximum(clips.sum(axis=0), 1), 0.0)


def _difference(clips: np.ndarray, more: np.ndarray, shares: np.ndarray | None) -> np.ndarray:
    """Return the difference of the accuracies of each resample: [resamples] of counts [resamples, labels]."""
    if shares is None:
        return more.sum(axis=1) / clips.sum(axis=1)
    present = np.where(clips > 0, shares, 0.0)
    total = np.maximum(present.sum(axis=1), 1e-12)
    return (present * more / np.maximum(clips, 1)).sum(axis=1) / total
