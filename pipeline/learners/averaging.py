"""Averages of a net's weights, which are judged, kept and published in place of the last ones."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, get_swa_avg_fn
from transformers import TrainerCallback

from pipeline.learners.training import Training

AVERAGE = "average.safetensors"


class WeightAverage(TrainerCallback):
    """An average of weights and statistics of `model`, of which subclasses tell when it is made. Of torch's swa_utils.

    Each of several processes has the same.
    """

    def __init__(self, model: nn.Module, average: AveragedModel) -> None:
        self._model, self._average = model, average

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Give the model the average for as long as the block lasts."""
        last = {name: value.clone() for name, value in self._model.state_dict().items()}
        self.publish()
        try:
            yield
        finally:
            self._model.load_state_dict(last)

    def publish(self) -> None:
        """Give the model the average."""
        self._model.load_state_dict(self._average.module.state_dict())

    def save(self, folder: Path) -> None:
        """Write average.safetensors into a checkpoint."""
        save_file({name: value.contiguous() for name, value in self._state().items()}, folder / AVERAGE)

    def load(self, folder: Path) -> None:
        """Take over what `save` wrote."""
        for name, value in load_file(folder / AVERAGE).items():
            self._state()[name].copy_(value)

    def _state(self) -> dict[str, Tensor]:
        with torch.no_grad():
            return dict(self._average.state_dict())


class MovingAverage(WeightAverage):
    """After each step, average = d * average + (1 - d) * weights (Polyak and Juditsky 1992).

    d rises to `decay` with the steps n so far, min(decay, (1 + n) / (10 + n)), as in TensorFlow's
    ExponentialMovingAverage and timm's warm-up: else a short training would keep much of its first weights.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        def moved(averages: Any, weights: Any, before: Any) -> None:
            now = min(decay, (1 + int(before)) / (10 + int(before)))
            get_ema_multi_avg_fn(now)(averages, weights, before)

        super().__init__(model, AveragedModel(model, multi_avg_fn=moved, use_buffers=True))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._average.update_parameters(self._model)


class EpochSoup(WeightAverage):
    """The plain mean after each of the `last` epochs of `epochs`; before these, the weights of the epoch itself.

    Stochastic weight averaging (Izmailov et al. 2018), a uniform soup of one training (Wortsman et al. 2022).
    """

    def __init__(self, model: nn.Module, last: int, epochs: int) -> None:
        super().__init__(model, AveragedModel(model, avg_fn=get_swa_avg_fn(), use_buffers=True))
        self._before = epochs - last

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if round(state.epoch) <= self._before + 1:
            self._average.n_averaged.zero_()  # what comes next is taken over whole
        self._average.update_parameters(self._model)


def average_of(model: nn.Module, settings: Training) -> WeightAverage | None:
    """Return the average that `settings` ask for, of which nothing is made yet."""
    if settings.soup:
        return EpochSoup(model, settings.soup, settings.epochs)
    return MovingAverage(model, settings.average_decay) if settings.average_decay else None
