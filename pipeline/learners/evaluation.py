"""The figure of an epoch as an `evaluate.Metric`, which needs no hub: `BalancedAccuracy().compute(predictions=...)`."""

from typing import Any

import datasets
import evaluate
import numpy as np

from pipeline import metrics
from pipeline.learners.judging import BALANCED_ACCURACY


class BalancedAccuracy(evaluate.Metric):
    """The mean recall of the labels that occur; label indices in, nothing is fetched, nothing is written to disk."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"keep_in_memory": True, **options})

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=type(self).__doc__ or "",
            citation="",
            inputs_description="predictions, references: label indices [clips]; labels: how many labels there are",
            features=datasets.Features({name: datasets.Value("int64") for name in ("predictions", "references")}),
        )

    def _compute(self, predictions: Any, references: Any, labels: int) -> dict[str, float]:
        counts = metrics.confusion(np.asarray(references), np.asarray(predictions), labels)
        return {BALANCED_ACCURACY: metrics.accuracy(counts, np.full(labels, 1 / labels))}
