"""SpecAugment: bands of frequencies and stretches of time are masked while training (Park et al. 2019, section 2)."""

import torch
from pydantic import Field
from torch import Tensor, nn

from pipeline.settings import Settings


class SpecAugmentParams(Settings):
    """How much is masked: `*_masks` masks, each of a width drawn from 0 to `*_width` bins or frames."""

    frequency_masks: int = Field(1, ge=0)
    frequency_width: int = Field(24, ge=1)
    time_masks: int = Field(1, ge=0)
    time_width: int = Field(20, ge=1)


class SpecAugment(nn.Module):
    """Masks spectrograms [clips, frames, bins] with 0, the mean of normalised features; does nothing in eval mode.

    `sounding` is how many of the first frames hold sound (None: all), where masks of time lie. Draws from torch's
    generator, which the trainer seeds at each step.
    """

    def __init__(self, params: SpecAugmentParams, sounding: int | None = None) -> None:
        super().__init__()
        self.params = params
        self.sounding = sounding

    def forward(self, features: Tensor, targets: Tensor | None = None) -> Tensor:
        if not self.training:
            return features
        clips, frames, bins = features.shape
        for _ in range(self.params.frequency_masks):
            features = features.masked_fill(self._mask(clips, bins, self.params.frequency_width, features)[:, None], 0)
        for _ in range(self.params.time_masks):
            features = features.masked_fill(
                self._mask(clips, frames, self.params.time_width, features, self.sounding)[..., None], 0
            )
        return features

    @staticmethod
    def _mask(clips: int, length: int, width: int, like: Tensor, within: int | None = None) -> Tensor:
        """Return a boolean [clips, length] with one stretch of True a clip, among the first `within`."""
        # Drawn on the CPU, so that the masks are the same whatever the device.
        room = length if within is None else min(within, length)
        widths = torch.randint(0, min(width, room) + 1, (clips, 1))
        starts = (torch.rand(clips, 1) * (room - widths + 1)).long()
        position = torch.arange(length)
        return ((position >= starts) & (position < starts + widths)).to(like.device)
