"""What each threshold of unknown and silence would do, and how sure that is."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import metrics
from pipeline.reporting.page.evidence import JudgedRun
from pipeline.scoring.nested import blocks_of
from pipeline.scoring.thresholds import BUNDLES, GRID, TINY, LogOdds, ThresholdGrid

RESAMPLES = 400
BAND = (2.5, 97.5)  # percentiles
_ARGMAX = int(np.argmin(np.abs(GRID)))


def curves(
    evidence: JudgedRun,
    commands: tuple[str, ...],
    shares: NDArray[np.float64],
    chosen: dict[str, float | None],
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Return for "unknown" and "silence" the accuracy under the prior `shares` at each threshold, the other one as
    chosen.

    Thresholds are shares as in metrics.json: 0.5 is the argmax, nearer 0 makes the label easier to choose. The band is
    of bootstrap resamples of bundles of speakers (Efron and Tibshirani, 1993); `best_low` and `best_high` hold the
    plateaus of the best thresholds of 95 % of them. `chosen` is metrics.json's `thresholds`.
    """
    assert evidence.decided is not None
    truth = np.asarray(evidence.truth, np.int64)
    counts = np.bincount(truth, minlength=len(shares))
    weight = (metrics.weights(np.diag(counts), shares) / np.maximum(counts, 1))[truth]
    count = min(BUNDLES, len(set(evidence.speakers)))
    bundles = blocks_of(evidence.speakers, count)
    odds = LogOdds.of(evidence.fine, commands)
    surfaces = ThresholdGrid.of(odds, truth).accuracies(weight, bundles, count)  # [bundles, silence, unknown]
    weights = np.bincount(bundles, weight, count)
    at = {name: _place(chosen.get(f"{name}_from")) for name in ("silence", "unknown")}
    drawn = rng.multinomial(count, np.full(count, 1 / count), RESAMPLES).astype(np.float64)
    total = np.maximum(drawn @ weights, 1e-9)[:, None]
    result: dict[str, Any] = {}
    for name, line in (("unknown", surfaces[:, at["silence"], :]), ("silence", surfaces[:, :, at["unknown"]])):
        resampled = drawn @ line / total  # [resamples, thresholds]
        low, high = np.percentile(resampled, BAND, axis=0)
        is_best = resampled >= resampled.max(axis=1, keepdims=True) - TINY  # a plateau, often
        starts, ends = GRID[is_best.argmax(axis=1)], GRID[len(GRID) - 1 - is_best[:, ::-1].argmax(axis=1)]
        best = _share(np.array([np.percentile(starts, BAND[0]), np.percentile(ends, BAND[1])]))
        points = zip(_share(GRID).tolist(), line.sum(axis=0).tolist(), low.tolist(), high.tolist(), strict=True)
        result[name] = {
            "points": [{"threshold": x, "accuracy": y, "low": a, "high": b} for x, y, a, b in points],
            "chosen": float(_share(GRID[at[name]])),
            "is_argmax": chosen.get(f"{name}_from") is None,
            "best_low": float(best[0]),
            "best_high": float(best[1]),
        }
    return result


def _share(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-log_odds))


def _place(share: float | None) -> int:
    """Return the threshold of GRID that is nearest to a share, the argmax for None."""
    if share is None:
        return _ARGMAX
    within = min(max(share, 1e-6), 1 - 1e-6)
    return int(np.argmin(np.abs(GRID - np.log(within / (1 - within)))))
