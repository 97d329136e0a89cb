"""The clips that a classifier learns from, and in which order: what a run's model gets to see of the corpus."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.clips.waveform import FULL_SCALE
from pipeline.errors import PipelineError


@dataclass(frozen=True)
class Examples:
    """Labelled clips: `read(rows)` returns the inputs [clips, *shape] of those corpus rows.

    Inputs are samples int16 [16000], embeddings uint8 [seconds, 128] or hidden states float32 [layers, hidden].
    `exclusive` says that a clip has one label, else any number of them. `targets` are

    - int64 [clips], the index of the label, or float32 [clips, labels], a distribution over the labels (soft labels),
      where labels are exclusive;
    - float32 [clips, labels], 0 or 1 each, where they are not.

    Raises ValueError for other targets, or as many as there are no rows.
    """

    read: Callable[[NDArray[np.int64]], NDArray[Any]]
    rows: NDArray[np.int64]  # [clips], row numbers of the corpus
    targets: NDArray[Any]
    exclusive: bool = True
    layers: tuple[int, ...] = ()  # of hidden states: the layers' numbers

    def __post_init__(self) -> None:
        if len(self.rows) != len(self.targets):
            raise ValueError(f"{len(self.rows)} rows, but {len(self.targets)} targets")
        if wrong := _wrong(self.targets, self.exclusive):
            raise ValueError(f"targets {self.targets.dtype} {list(self.targets.shape)}: {wrong}")

    @property
    def multi_label(self) -> bool:
        return not self.exclusive

    @property
    def soft(self) -> bool:
        """Whether the one label of each clip is given as a distribution."""
        return self.exclusive and self.targets.dtype == np.float32


@dataclass(frozen=True)
class TrainingData:
    """All that a classifier learns from in one run.

    `judged` is int64 [labels]: for each label the index of the label that is judged, such as that of `unknown` for
    every word that is no command; None where each label stands for itself.

    Raises ValueError if training and validation differ in `exclusive`, if validation has soft labels, or if labels that
    are not exclusive shall be judged as others.
    """

    train: Examples
    validation: Examples
    epoch_indices: Callable[[int], NDArray[np.int64]]  # epoch -> indices of `train`, the same number each epoch
    augment: Callable[[NDArray[Any], list[np.random.Generator]], NDArray[np.float32]]  # -> [clips, *shape], as_float
    seed: int
    judged: NDArray[np.int64] | None = None
    note: str = ""  # told at the start of a training

    def __post_init__(self) -> None:
        if self.train.exclusive is not self.validation.exclusive:
            raise ValueError("the labels of training and validation clips must both be exclusive, or neither")
        if self.validation.soft:
            raise ValueError("validation clips are judged by one label each, not by a distribution over the labels")
        if self.judged is not None and not self.train.exclusive:
            raise ValueError("only exclusive labels can be judged as others")


def refuse_soft_labels(examples: Examples, who: str) -> None:
    """Raise PipelineError if the labels are distributions, which `who` (a plural) cannot learn."""
    if examples.soft:
        raise PipelineError(
            f"{who} learn one label a clip, and these clips have soft labels: a share of each label.\n"
            "Take a network as `model` of the run in params.yaml, without a detector."
        )


def as_float(inputs: Any) -> Any:
    """Return an array's or tensor's values as float32: samples in -1..1, embeddings in 0..255, others as they are."""
    kind = str(inputs.dtype).removeprefix("torch.")
    if isinstance(inputs, np.ndarray):
        floats = inputs.astype(np.float32, copy=False)
        return floats / np.float32(FULL_SCALE) if kind == "int16" else floats
    return inputs.float() / FULL_SCALE if kind == "int16" else inputs.float()


def unaugmented(inputs: NDArray[Any], generators: list[np.random.Generator]) -> NDArray[np.float32]:
    """Return clips as they are, float32: the `augment` of data that is not augmented."""
    floats: NDArray[np.float32] = as_float(inputs)
    return floats


def _wrong(targets: NDArray[Any], exclusive: bool) -> str | None:
    """Return what is wrong with the targets, None if they are right."""
    if exclusive and targets.dtype == np.int64:
        return None if targets.ndim == 1 else "indices of labels must be one a clip"
    if targets.dtype != np.float32 or targets.ndim != 2:
        indices = "int64 [clips] or " if exclusive else ""
        return f"expected {indices}float32 [clips, labels] where labels are {'' if exclusive else 'not '}exclusive"
    if not exclusive:
        return None if np.isin(targets, (0, 1)).all() else "each value must be 0 or 1 where labels are not exclusive"
    is_distribution = (targets >= 0).all() and np.allclose(targets.sum(axis=1), 1, atol=1e-3)
    return None if is_distribution else "each row must be a distribution where labels are exclusive: 0 or more, sum 1"
