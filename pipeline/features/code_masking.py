"""Masking for bags of codes: while training, each count is missing now and then (Verma 2021)."""

import torch
from torch import Tensor, nn


class CodeMasking(nn.Module):
    """Sets each feature of [clips, features] to 0 with probability `share`; does nothing in eval mode.

    What is left is not scaled up, unlike dropout. Draws from torch's generator, which the trainer seeds at each step.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, features: Tensor, targets: Tensor | None = None) -> Tensor:
        if not self.training:
            return features
        # Drawn on the CPU, so that the masks are the same whatever the device.
        return features * (torch.rand(features.shape) >= self.share).to(features)
