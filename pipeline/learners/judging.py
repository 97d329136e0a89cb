"""By what an epoch is judged: the figure that chooses the weights which are kept."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import metrics

BALANCED_ACCURACY, MEAN_AVERAGE_PRECISION = "balanced_accuracy", "map"


def figure_of(
    values: NDArray[np.floating[Any]], targets: NDArray[Any], judged: NDArray[np.int64] | None = None
) -> float:
    """Return what judges probabilities `values` [clips, labels].

    Of labels that exclude each other, int targets [clips], it is balanced accuracy; of tags, targets [clips, labels],
    mean average precision.
    """
    if targets.ndim == 2:
        return mean_average_precision(values, targets)
    return balanced_accuracy(values, targets, judged)


def balanced_accuracy(
    values: NDArray[np.floating[Any]], targets: NDArray[np.int64], judged: NDArray[np.int64] | None = None
) -> float:
    """Return the mean recall of the judged labels that occur, of probabilities `values` [clips, labels].

    `judged` is int [labels], the index of the judged label that each label counts as, None where each counts as itself:
    probabilities are summed into judged labels, of which the likeliest is the prediction. `targets` is int [clips],
    indices of labels.
    """
    if judged is None:
        judged = np.arange(values.shape[1])
    summed = summed_into(values, judged)
    labels = summed.shape[1]
    counts = metrics.confusion(judged[targets], summed.argmax(axis=1), labels)
    return metrics.accuracy(counts, np.full(labels, 1 / labels))


def summed_into(values: NDArray[Any], judged: NDArray[np.int64]) -> NDArray[Any]:
    """Return [clips, judged labels] of [clips, labels]; each label is added to the one that `judged` [labels] gives."""
    return np.stack([values[:, judged == label].sum(axis=1) for label in range(judged.max() + 1)], axis=1)


def mean_average_precision(values: NDArray[np.floating[Any]], targets: NDArray[np.float32]) -> float:
    """Return the mean over the labels that occur in `targets` [clips, labels], 0 or 1; 0 if none does."""
    precisions = metrics.average_precisions(targets > 0.5, values)
    return float(np.nanmean(precisions)) if np.isfinite(precisions).any() else 0.0
