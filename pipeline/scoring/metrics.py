"""What metrics.json tells of decided labels."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from pipeline.clips.labels import SILENCE, UNKNOWN
from pipeline.learners import rates


def count(truth: Iterable[str], predicted: Iterable[str], labels: Sequence[str]) -> np.ndarray:
    """Return int [labels, labels]: rows are the truth, columns the prediction. Raises KeyError for a strange label."""
    index = {label: place for place, label in enumerate(labels)}
    return rates.confusion(
        np.array([index[label] for label in truth], dtype=int),
        np.array([index[label] for label in predicted], dtype=int),
        len(labels),
    )


def describe(counts: np.ndarray, labels: Sequence[str], shares: np.ndarray) -> dict[str, Any]:
    """Return the figures of a confusion matrix; a recall is None where the label has no clip.

    `accuracy` is under the prior `shares` [labels], with its 95 % interval; `accuracy_plain` counts each clip alike.
    """
    accuracy = rates.accuracy(counts, shares)
    low, high = rates.wilson(accuracy, rates.effective_clips(counts, shares))
    recalls = {
        label: None if np.isnan(recall) else _rounded(recall)
        for label, recall in zip(labels, rates.recalls(counts), strict=True)
    }
    return {
        "accuracy": _rounded(accuracy),
        "accuracy_low": _rounded(low),
        "accuracy_high": _rounded(high),
        "accuracy_plain": _rounded(rates.accuracy(counts)),
        "macro_f1": _rounded(rates.macro_f1(counts)),
        "unknown_recall": recalls[UNKNOWN],
        "silence_recall": recalls[SILENCE],
        "clips": int(counts.sum()),
        "recalls": recalls,
    }


def plain(counts: np.ndarray, labels: Sequence[str]) -> dict[str, Any]:
    """Return the figures of a confusion matrix in which each clip counts alike; a recall is None without clips."""
    accuracy, clips = rates.accuracy(counts), int(counts.sum())
    low, high = rates.wilson(accuracy, clips)
    return {
        "accuracy": _rounded(accuracy),
        "accuracy_low": _rounded(low),
        "accuracy_high": _rounded(high),
        "macro_f1": _rounded(rates.macro_f1(counts)),
        "clips": clips,
        "recalls": {
            label: None if np.isnan(recall) else _rounded(recall)
            for label, recall in zip(labels, rates.recalls(counts), strict=True)
        },
    }


def _rounded(value: float) -> float:
    return round(float(value), 5)
