"""Losses, and the probabilities that belong to each."""

from typing import Any, Literal

from torch import Tensor, nn

from pipeline.errors import PipelineError

Loss = Literal["cross_entropy", "mse", "huber", "binary_cross_entropy"]
OF_SOFTMAX = ("cross_entropy", "mse")


def loss_named(name: Loss | Literal["auto"], multi_label: bool) -> Loss:
    """Return the loss that `training.loss` means. Raises PipelineError for one that needs exactly one label a clip."""
    if name == "auto":
        return "binary_cross_entropy" if multi_label else "cross_entropy"
    if multi_label and name in OF_SOFTMAX:
        raise PipelineError(
            f"The loss {name} needs exactly one label a clip, and these clips may have several.\n"
            "Set `training.loss` of the run in params.yaml to auto, binary_cross_entropy or huber."
        )
    return name


def loss_of(name: Loss, logits: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Return the mean loss of `logits` [clips, labels] for `targets` [clips, labels], each 0 to 1.

    Cross-entropy and mse of the softmax, the latter as the sum over labels is a mean (Keras's convention);
    binary cross-entropy and Huber (delta 1) of the sigmoids. Smoothing pulls the targets towards what says nothing: an
    equal share of each label, or one half where each label is a question of its own.
    """
    if name == "cross_entropy":
        return nn.functional.cross_entropy(logits, targets, label_smoothing=label_smoothing)
    nothing = 1 / targets.shape[1] if name == "mse" else 0.5
    targets = (1 - label_smoothing) * targets + label_smoothing * nothing
    if name == "mse":
        return nn.functional.mse_loss(logits.softmax(dim=-1), targets)
    if name == "huber":
        return nn.functional.huber_loss(logits.sigmoid(), targets)
    return nn.functional.binary_cross_entropy_with_logits(logits, targets)


def probabilities_of(name: Loss, logits: Tensor, multi_label: bool) -> Tensor:
    """Return the probabilities [clips, labels] that `logits` mean to a network that learnt by the loss `name`.

    Rows sum to 1 unless `multi_label`.
    """
    if name in OF_SOFTMAX:
        return logits.softmax(dim=-1)
    scores = logits.sigmoid()
    # One label a clip, but a sigmoid each: shares of their sum rank as they do.
    return scores if multi_label else (scores + 1e-9) / (scores + 1e-9).sum(dim=-1, keepdim=True)


def logits_of(outputs: Any) -> Tensor:
    """Return what a network gave, be it bare or in one of transformers' objects."""
    logits: Tensor = outputs if isinstance(outputs, Tensor) else outputs.logits
    return logits
