"""Greedy selection of runs, with replacement (Caruana et al., "Ensemble Selection from Libraries", ICML 2004).

Starting from nothing, the run is added that helps the mean most, again and again; a run that comes often weighs more.
On a few hundred clips the order is a matter of luck, so it is done on many draws of speakers and the weights averaged,
as the paper draws from the library.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BAGS = 20
PICKS = 15  # a bag's weights are fifteenths
SHARE = 0.5  # of the speakers in a bag
CLIPS = 4000  # in a bag at most, so that the cost does not grow with the corpus


def fit(
    values: NDArray[np.floating],  # [runs, clips, labels]
    truth: NDArray[np.int64],  # [clips], index of the label
    weights: NDArray[np.float64],  # [clips], sum 1: how much each counts
    speakers: Sequence[str],  # [clips]
) -> NDArray[np.float64]:
    """Return the weights of the runs, [runs], sum 1."""
    rng = np.random.default_rng(0)
    groups = np.unique(np.asarray(speakers, dtype=str), return_inverse=True)[1]
    count = int(groups.max()) + 1
    share = min(SHARE, CLIPS / len(truth))
    bags = []
    for _ in range(BAGS):
        drawn = np.zeros(count, bool)
        drawn[rng.permutation(count)[: max(1, round(share * count))]] = True
        inside = np.flatnonzero(drawn[groups])
        bags.append(_select(values[:, inside], truth[inside], weights[inside]))
    return np.mean(bags, axis=0)


def _select(values: NDArray[np.floating], truth: NDArray[np.int64], weights: NDArray[np.float64]) -> np.ndarray:
    """Return the shares of the runs, [runs], among the best number of picks."""
    runs, clips, labels = values.shape
    total = np.zeros((clips, labels))
    picked, best, chosen = np.zeros(runs), -np.inf, np.zeros(runs)
    for size in range(1, PICKS + 1):
        scores = [_score((total + table) / size, truth, weights) for table in values]
        run = int(np.argmax(scores))
        total += values[run]
        picked[run] += 1
        if scores[run] > best:
            best, chosen = scores[run], picked / size
    return chosen


def _score(values: NDArray[np.float64], truth: NDArray[np.int64], weights: NDArray[np.float64]) -> float:
    """Return the accuracy, and a little of the mean probability of the true labels, which tells ties apart."""
    at_truth = values[np.arange(len(truth)), truth]
    right = values.argmax(axis=1) == truth
    return float(weights @ (right + 1e-3 * at_truth))
