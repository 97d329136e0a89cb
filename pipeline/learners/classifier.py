"""What a model file builds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pipeline.examples.training_data import TrainingData

CHUNK_CLIPS = 512  # 16 MB of samples at a time, and what processes share by
# Is told each epoch (from 1) and its figure; what it raises ends the training.
Watch = Callable[[int, float], None]


class Classifier(Protocol):
    """The one shape that every model has for the stages."""

    labels: list[str]
    multi_label: bool

    def fit(self, data: TrainingData, work: Path, live: Path) -> None:
        """Learn. Checkpoints go to `work`, from which a killed training resumes; curves go to `live` (DVCLive)."""

    def predict_proba(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Return float32 [clips, labels] for inputs [clips, *shape]; rows sum to 1 unless `multi_label`."""

    def save(self, folder: Path) -> None:
        """Write weights (safetensors) and all that `restore` needs into an existing folder."""


def predicted(
    classifier: Classifier, read: Callable[[NDArray[np.int64]], NDArray[Any]], rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return float32 [clips, labels] of corpus rows, of which so many at a time are in memory."""
    chunks = np.split(rows, range(CHUNK_CLIPS, len(rows), CHUNK_CLIPS))
    return np.concatenate([classifier.predict_proba(read(chunk)) for chunk in chunks])


@runtime_checkable
class Composite(Classifier, Protocol):
    """A classifier that is the vote of several; each is judged too."""

    @property
    def parts(self) -> list[str]:
        """Their names."""

    def predict_parts(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Return float32 [parts, clips, labels] for inputs [clips, *shape]."""

    def combine(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the vote [clips, labels] of [parts, clips, labels]: what `predict_proba` returns."""
