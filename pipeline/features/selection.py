"""Which of a clip's features a classifier sees: standardised, one of each highly correlated pair, chosen by Lasso."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from safetensors.numpy import load_file, save_file

from pipeline.errors import PipelineError
from pipeline.settings import Settings

FILE = "selection.safetensors"


class Selecting(Settings):
    """Of two features that correlate by more than `max_correlation` (either sign), the later one is dropped.

    Lasso then keeps what it gives a weight for any label; `features` keeps that many with the largest weights instead.
    `lasso_alpha` counts in correlations, since features and targets are standardised; null leaves Lasso out.
    """

    max_correlation: float = Field(0.99, gt=0, le=1)
    lasso_alpha: float | None = Field(0.003, gt=0, lt=1)
    features: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _weighed(self) -> Self:
        if self.features is not None and self.lasso_alpha is None:
            raise ValueError("features keeps those to which Lasso gives the largest weights; with it, set lasso_alpha")
        return self


@dataclass(frozen=True)
class Selection:
    """`mean` and `scale` float32 [kept features], `kept` int64: their places among all."""

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    kept: NDArray[np.int64]

    @classmethod
    def fit(cls, features: NDArray[np.float32], targets: NDArray[np.int64], settings: Selecting) -> Self:
        """Choose among float32 [clips, features] for targets int64 [clips].

        Raises PipelineError if nothing is left.
        """
        mean, scale = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
        kept = np.flatnonzero(scale > 1e-8 * np.maximum(1, np.abs(mean)))  # what never changes tells nothing
        standard = (features[:, kept] - mean[kept]) / scale[kept]
        apart = _apart(standard, settings.max_correlation)
        kept, standard = kept[apart], standard[:, apart]
        if settings.lasso_alpha is not None and len(kept):
            kept = kept[_by_lasso(standard, targets, settings.lasso_alpha, settings.features)]
        if not len(kept):
            raise PipelineError(
                f"Of {features.shape[1]} features none is left to learn from (lasso_alpha {settings.lasso_alpha}).\n"
                "Lower `selection.lasso_alpha` of the run's parameters in params.yaml."
            )
        return cls(mean[kept].astype(np.float32), scale[kept].astype(np.float32), kept)

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return float32 [clips, kept features], standardised as the clips that it was fitted on."""
        chosen: NDArray[np.float32] = (features[:, self.kept] - self.mean) / self.scale
        return chosen

    def save(self, folder: Path) -> None:
        save_file({name: np.ascontiguousarray(value) for name, value in vars(self).items()}, folder / FILE)

    @classmethod
    def restore(cls, folder: Path) -> Self:
        return cls(**load_file(folder / FILE))


def _apart(standard: NDArray[np.float64], max_correlation: float) -> NDArray[np.int64]:
    """Return the places of features of which no two correlate by more than `max_correlation`, earlier ones first."""
    close = np.abs(standard.T @ standard) > max_correlation * len(standard)
    kept: list[int] = []
    for place in range(len(close)):
        if not close[place, kept].any():
            kept.append(place)
    return np.array(kept, np.int64)


def _by_lasso(
    standard: NDArray[np.float64], targets: NDArray[np.int64], alpha: float, features: int | None
) -> NDArray[np.int64]:
    """Return the places of the features that a Lasso regression on each label, one against the rest, gives a weight."""
    # Here, since they take two seconds, for which the report should not wait.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.feature_selection import SelectFromModel
    from sklearn.linear_model import Lasso

    questions = (targets[:, None] == np.unique(targets)).astype(np.float64)  # [clips, labels]
    deviation = questions.std(axis=0)
    questions = (questions - questions.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    chooser = SelectFromModel(
        Lasso(alpha=alpha, precompute=True, fit_intercept=False, max_iter=2_000, tol=1e-3),
        threshold=None if features is None else -np.inf,
        max_features=None if features is None else min(features, standard.shape[1]),
    )
    with warnings.catch_warnings():
        # Weights that are not settled to the last digit choose as well.
        warnings.simplefilter("ignore", ConvergenceWarning)
        chooser.fit(standard, questions)
    return np.flatnonzero(chooser.get_support())
