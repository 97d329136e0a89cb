"""What a model file builds, and the clips that it learns from."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Examples:
    """Labelled clips: `read(rows)` returns int16 [clips, 16000] of those corpus rows."""

    read: Callable[[NDArray[np.int64]], NDArray[np.int16]]
    rows: NDArray[np.int64]  # [clips], row numbers of the corpus
    targets: NDArray[np.int64]  # [clips], index of the label

    def __post_init__(self) -> None:
        if len(self.rows) != len(self.targets):
            raise ValueError(f"{len(self.rows)} rows, but {len(self.targets)} targets")


@dataclass(frozen=True)
class Lesson:
    """All that a classifier learns from in one run."""

    train: Examples
    validation: Examples
    draw: Callable[[int], NDArray[np.int64]]  # epoch -> positions in `train`, the same number each epoch
    augment: Callable[[NDArray[np.int16], list[np.random.Generator]], NDArray[np.float32]]  # -> [clips, samples], -1..1
    seed: int


class Classifier(Protocol):
    """The one shape that every model has for the stages."""

    labels: list[str]

    def fit(self, lesson: Lesson, work: Path, live: Path) -> None:
        """Learn. Checkpoints go to `work`, from which a killed training resumes; curves go to `live` (DVCLive)."""

    def predict_proba(self, samples: NDArray[np.int16]) -> NDArray[np.float32]:
        """Return float32 [clips, labels], rows summing to 1, for int16 samples [clips, 16000]."""

    def save(self, folder: Path) -> None:
        """Write weights (safetensors) and all that `restore` needs into an existing folder."""
