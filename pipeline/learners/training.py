"""The parameters of fitting a network: `training` of a run."""

from typing import Literal, Self

import torch
from pydantic import Field, field_validator, model_validator

from pipeline.errors import PipelineError
from pipeline.learners.losses import Loss
from pipeline.settings import Settings

# torch's own, by their names in the papers.
OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adamw": torch.optim.AdamW,
    "adam": torch.optim.Adam,
    "adamax": torch.optim.Adamax,
    "sgd": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
    "adagrad": torch.optim.Adagrad,
}
ADAMW_WEIGHT_DECAY = 0.01


class Training(Settings):
    """How a network is fitted. `batch_size` counts the clips of one step over all processes.

    `loss`: cross_entropy and mse are taken of the softmax, huber and binary_cross_entropy of each label's sigmoid;
    "auto" is binary_cross_entropy where a clip may have several labels, else cross_entropy.
    `weight_decay` is adamw's, which keeps it apart from the gradient: None means 0.01 there, and none for the others,
    whose steps it would blow up. `momentum` is sgd's. `layer_decay` below 1 gives each layer of a transformer a smaller
    rate than the one above it (pipeline.learners.parameter_groups).
    """

    epochs: int = Field(10, ge=1)
    batch_size: int = Field(32, ge=1)
    eval_batch_size: int = Field(128, ge=1)
    loss: Loss | Literal["auto"] = "auto"
    optimizer: str = "adamw"
    momentum: float = Field(0.0, ge=0, lt=1)
    learning_rate: float = Field(3e-5, gt=0)
    schedule: Literal["linear", "cosine", "constant_with_warmup"] = "linear"
    warmup_ratio: float = Field(0.1, ge=0, lt=1)
    weight_decay: float | None = Field(None, ge=0)
    layer_decay: float = Field(1.0, gt=0, le=1)
    max_grad_norm: float = Field(1.0, gt=0)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    mixup_alpha: float = Field(0.0, ge=0)
    patience: int | None = Field(None, ge=1)
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    workers: int = Field(0, ge=0)

    @field_validator("optimizer")
    @classmethod
    def _known(cls, optimizer: str) -> str:
        if optimizer not in OPTIMIZERS:
            raise ValueError(f"there is no '{optimizer}'; take one of {', '.join(OPTIMIZERS)}")
        return optimizer

    @model_validator(mode="after")
    def _of_the_optimizer(self) -> Self:
        if self.weight_decay and self.optimizer != "adamw":
            raise ValueError(
                f"weight_decay {self.weight_decay} is of the optimizer adamw alone; "
                f"with {self.optimizer}, set weight_decay: null"
            )
        if self.momentum and self.optimizer != "sgd":
            raise ValueError(
                f"momentum {self.momentum} is of the optimizer sgd alone; with {self.optimizer}, leave it out"
            )
        return self

    @property
    def decay(self) -> float:
        """What `weight_decay` means for the optimiser."""
        if self.weight_decay is not None:
            return self.weight_decay
        return ADAMW_WEIGHT_DECAY if self.optimizer == "adamw" else 0.0


def precision_of(wanted: str, device: torch.device) -> str:
    """Return what `wanted` means on `device`: "auto" is bf16 or fp16 on CUDA, fp32 elsewhere.

    Raises PipelineError for fp16 without CUDA, where the gradients cannot be scaled.
    """
    if wanted == "fp16" and device.type != "cuda":
        raise PipelineError("precision fp16 needs a CUDA device, and there is none. Set `training.precision` to auto.")
    if wanted != "auto":
        return wanted
    if device.type != "cuda":
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported() else "fp16"
