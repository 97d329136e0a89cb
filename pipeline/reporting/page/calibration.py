"""Whether a probability of 0.8 is right eight times of ten."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import metrics
from pipeline.reporting.page.evidence import JudgedRun

BINS = 10  # of equal width, as in Guo et al., "On Calibration of Modern Neural Networks", 2017


def outcomes(evidence: JudgedRun) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return probabilities and whether they came true: of the likeliest label of each clip, or, where a clip may have
    several labels, of every label of every clip."""
    if evidence.decided is None:
        return evidence.values.astype(np.float64).ravel(), np.asarray(evidence.truth, bool).ravel()
    best = evidence.values.argmax(axis=1)
    return evidence.values.max(axis=1).astype(np.float64), best == evidence.truth


def reliability(said: NDArray[np.float64], came_true: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """Return a point for each bin that has clips: mean probability, share that came true with its 95 % interval."""
    bins = np.minimum((said * BINS).astype(int), BINS - 1)
    points = []
    for one in np.unique(bins).tolist():
        inside = bins == one
        share, clips = float(came_true[inside].mean()), int(inside.sum())
        low, high = metrics.wilson(share, clips)
        points.append({"said": float(said[inside].mean()), "true": share, "low": low, "high": high, "clips": clips})
    return points


def expected_error(points: list[dict[str, Any]]) -> float:
    """Return the expected calibration error: the mean gap between what was said and what came true, bins weighted by
    their clips (Naeini, Cooper and Hauskrecht, AAAI 2015)."""
    clips = sum(point["clips"] for point in points)
    return sum(abs(point["said"] - point["true"]) * point["clips"] for point in points) / max(1, clips)
