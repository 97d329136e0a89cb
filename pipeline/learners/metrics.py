"""The figures of `rates` as `evaluate.Metric` classes, which need no hub: `Accuracy().compute(predictions=...)`.

Importing `evaluate` imports transformers and torch, seconds of work: the trainers do so anyway, the stages after
`predict` call `pipeline.metrics` directly.
"""

from typing import Any

import datasets
import evaluate
import numpy as np

from pipeline import metrics


class LocalMetric(evaluate.Metric):
    """Label indices in, one dictionary out; nothing is fetched, nothing is written to disk."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"keep_in_memory": True, **options})

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=type(self).__doc__ or "",
            citation="",
            inputs_description="predictions, references: label indices [clips]; labels: how many labels there are",
            features=datasets.Features({name: datasets.Value("int64") for name in ("predictions", "references")}),
        )


class Accuracy(LocalMetric):
    """Share of clips recognised; with `shares` [labels], as if the labels were that frequent."""

    def _compute(self, predictions: Any, references: Any, labels: int, shares: Any = None) -> dict[str, float]:
        counts = metrics.confusion(references, predictions, labels)
        return {"accuracy": metrics.accuracy(counts, None if shares is None else np.asarray(shares))}


class MacroF1(LocalMetric):
    """Mean F1 over the labels that occur."""

    def _compute(self, predictions: Any, references: Any, labels: int) -> dict[str, float]:
        return {"macro_f1": metrics.macro_f1(metrics.confusion(references, predictions, labels))}


class Recalls(LocalMetric):
    """Per label the share of its clips that were recognised, NaN where it has none."""

    def _compute(self, predictions: Any, references: Any, labels: int) -> dict[str, list[float]]:
        return {"recalls": metrics.recalls(metrics.confusion(references, predictions, labels)).tolist()}
