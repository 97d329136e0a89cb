"""The two augmentations for embeddings: a constant is added or subtracted, and two positives are averaged."""

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor, nn

from pipeline.clips.labels import ABSENT
from pipeline.settings import Settings

LOWEST, HIGHEST = 0, 255


class EmbeddingAugmentParams(Settings):
    """Which share of the clips is changed; a share of 0, the default, switches an augmentation off.

    A clip's constant is drawn from -`largest_shift` to `largest_shift`, of 255.
    """

    shift_share: float = Field(0.0, ge=0, le=1)
    largest_shift: float = Field(20.0, ge=0, le=HIGHEST)
    average_share: float = Field(0.0, ge=0, le=1)


class EmbeddingAugment(nn.Module):
    """Changes frames [clips, frames, 128] and clips them to 0..255; does nothing in eval mode.

    Positives are clips that have a label, not only "other". A clip is averaged with another of the batch whose targets
    are the same, so that they hold for the average; where the batch has none, it stays as it is. First the average,
    then the constant. Draws from torch's generator, which the trainer seeds at each step.
    """

    def __init__(self, params: EmbeddingAugmentParams, labels: Sequence[str]) -> None:
        super().__init__()
        self.params = params
        self.positive = torch.tensor([label != ABSENT for label in labels])

    def forward(self, features: Tensor, targets: Tensor) -> Tensor:
        """`targets` is float32 [clips, labels]."""
        if not self.training or not (self.params.average_share or self.params.shift_share):
            return features
        # Drawn on the CPU, so that the draws are the same whatever the device.
        clips = len(features)
        averaged = torch.rand(clips) < self.params.average_share
        order = torch.rand(clips, clips)
        shifted = torch.rand(clips) < self.params.shift_share
        shifts = (2 * torch.rand(clips) - 1) * self.params.largest_shift * shifted

        targets = targets.cpu()
        is_positive = (targets * self.positive).sum(dim=1) > 0
        alike = (torch.cdist(targets, targets, p=1) == 0) & is_positive & ~torch.eye(clips, dtype=torch.bool)
        partners = torch.where(alike, order, -1).argmax(dim=1)
        averaged &= alike.any(dim=1)
        averages = (features + features[partners.to(features.device)]) / 2
        features = torch.where(averaged.to(features.device)[:, None, None], averages, features)
        return (features + shifts.to(features.device)[:, None, None]).clamp(LOWEST, HIGHEST)
