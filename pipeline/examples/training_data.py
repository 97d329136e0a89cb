"""The clips that a classifier learns from, and in which order: what a run's model gets to see of the corpus."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Examples:
    """Labelled clips: `read(rows)` returns the inputs [clips, *shape] of those corpus rows.

    Inputs are samples int16 [16000], embeddings uint8 [seconds, 128] or hidden states float32 [layers, hidden].
    """

    read: Callable[[NDArray[np.int64]], NDArray[Any]]
    rows: NDArray[np.int64]  # [clips], row numbers of the corpus
    targets: NDArray[Any]  # int64 [clips], index of the label; float32 [clips, labels], 0 or 1, where there are several
    layers: tuple[int, ...] = ()  # of hidden states: the layers' numbers

    def __post_init__(self) -> None:
        if len(self.rows) != len(self.targets):
            raise ValueError(f"{len(self.rows)} rows, but {len(self.targets)} targets")

    @property
    def multi_label(self) -> bool:
        return self.targets.ndim == 2


@dataclass(frozen=True)
class TrainingData:
    """All that a classifier learns from in one run."""

    train: Examples
    validation: Examples
    epoch_indices: Callable[[int], NDArray[np.int64]]  # epoch -> indices of `train`, the same number each epoch
    augment: Callable[[NDArray[Any], list[np.random.Generator]], NDArray[np.float32]]  # -> [clips, *shape], as_float
    seed: int


def as_float(inputs: Any) -> Any:
    """Return an array's or tensor's values as float32: samples in -1..1, embeddings in 0..255, others as they are."""
    kind = str(inputs.dtype).removeprefix("torch.")
    if isinstance(inputs, np.ndarray):
        floats = inputs.astype(np.float32, copy=False)
        return floats / np.float32(32768) if kind == "int16" else floats
    return inputs.float() / 32768 if kind == "int16" else inputs.float()
