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
    whose steps it would blow up. `momentum` is sgd's. `layer_decay` below 1 gives each layer of a stack a smaller rate
    than the one above it (pipeline.learners.parameter_groups), and the curve of the rate is then the highest one's.
    `mix`: whether mixup adds the clips' samples, or what the front end makes of them (`features`; cutmix always does).
    `average_decay` above 0 keeps the exponential moving average of the weights, `soup` in its place the plain mean of
    those after each of so many last epochs (pipeline.learners.averaging).
    `keep`: the weights of the epoch that does best on the validation clips, or of the last one. Where the learning rate
    falls to 0 that is about as good, and what was not chosen cannot flatter.
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
    cutmix_alpha: float = Field(0.0, ge=0)
    mix: Literal["samples", "features"] = "samples"
    average_decay: float = Field(0.0, ge=0, lt=1)
    soup: int = Field(0, ge=0)
    keep: Literal["best", "last"] = "best"
    patience: int | None = Field(None, ge=1)
    precision: Literal["auto", "fastest", "fp32", "bf16", "fp16"] = "auto"
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

    @model_validator(mode="after")
    def _of_the_best(self) -> Self:
        if self.patience is not None and self.keep == "last":
            raise ValueError("patience ends a training when the best epoch is long past; with it, set keep: best")
        return self

    @model_validator(mode="after")
    def _of_the_soup(self) -> Self:
        if self.soup and (self.average_decay or self.keep == "best"):
            raise ValueError("soup is of the last epochs' weights; with it, set keep: last and average_decay: 0")
        if self.soup > self.epochs:
            raise ValueError(f"soup: {self.soup} epochs of {self.epochs} cannot be averaged")
        return self

    @property
    def decay(self) -> float:
        """What `weight_decay` means for the optimiser."""
        if self.weight_decay is not None:
            return self.weight_decay
        return ADAMW_WEIGHT_DECAY if self.optimizer == "adamw" else 0.0


def precision_of(wanted: str, device: torch.device) -> str:
    """Return what `wanted` means on `device`: "auto" is bf16 on CUDA, or fp16 where the GPU would only emulate that
    (before Ampere, such as a T4), and fp32 elsewhere.

    "fastest" is as "auto", but bf16 on a processor that has instructions for it (AVX-512 BF16 or AMX), where a step of
    a small net takes two thirds of the time; on others bf16 would take many times as long.

    Raises PipelineError for fp16 without CUDA, where the gradients cannot be scaled.
    """
    if wanted == "fp16" and device.type != "cuda":
        raise PipelineError("precision fp16 needs a CUDA device, and there is none. Set `training.precision` to auto.")
    if wanted not in ("auto", "fastest"):
        return wanted
    if wanted == "fastest" and device.type == "cpu":
        has = torch.cpu.get_capabilities()
        return "bf16" if has.get("avx512_bf16") or has.get("amx_bf16") else "fp32"
    if device.type != "cuda":
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
