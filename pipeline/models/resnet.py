"""A residual net over the log-mel spectrogram (He et al. 2016), read by the mean and the maximum over its map."""

from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from pipeline.examples.training_data import Examples
from pipeline.features.spec_augment import SpecAugmentParams
from pipeline.learners.network import About, NetClassifier
from pipeline.learners.training import Training
from pipeline.models._log_mel_net import about_of, classifier_of
from pipeline.models._read_norm import ReadNorm
from pipeline.settings import Settings

__all__ = ["Params", "Training", "build", "restore"]

Count = Annotated[int, Field(ge=1)]


class Params(Settings):
    """A residual block each for `channels`, which halves time and frequency where its entry of `strides` is 2.

    As it is, 714,000 weights for 31 labels. Widths of [16, 24, 24, 48, 48, 64] make 170,000 of them, twice the widths
    four times as many.
    """

    num_mel_bins: int = Field(40, ge=8, le=128)
    stem_channels: Count = 24
    channels: tuple[Count, ...] = Field((24, 48, 48, 96, 96, 144), min_length=1)
    strides: tuple[Annotated[int, Field(ge=1, le=2)], ...] = (1, 2, 1, 2, 1, 1)
    dropout: float = Field(0.2, ge=0, lt=1)
    spec_augment: SpecAugmentParams = SpecAugmentParams(frequency_width=7, time_width=18)

    @model_validator(mode="after")
    def _one_each(self) -> "Params":
        if len(self.strides) != len(self.channels):
            raise ValueError(f"{len(self.channels)} channels need as many strides; got {len(self.strides)}")
        return self


class Block(nn.Module):
    """Two 3 x 3 convolutions and a way round them; a stride of 2 halves time and bins."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(after)
        self.second = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(after)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or before != after:
            self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, heard: Tensor) -> Tensor:
        changed = self.second_norm(self.second(self.first_norm(self.first(heard)).relu()))
        return (changed + self.shortcut(heard)).relu()


class ResNet(nn.Module):
    """Log-mel [clips, frames, bins] -> logits [clips, labels]."""

    def __init__(self, params: Params, labels: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, params.stem_channels, 5, stride=2, padding=2, bias=False)
        self.stem_norm = nn.BatchNorm2d(params.stem_channels)
        before = (params.stem_channels, *params.channels)
        self.blocks = nn.Sequential(
            *(Block(*each) for each in zip(before[:-1], params.channels, params.strides, strict=True))
        )
        self.read_norm = ReadNorm(params.channels[-1])
        self.dropout = nn.Dropout(params.dropout)
        self.head = nn.Linear(params.channels[-1], labels)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, features: Tensor) -> Tensor:
        # Channels last: convolutions on a CPU are then half again as fast.
        image = features.unsqueeze(1).contiguous(memory_format=torch.channels_last)
        heard = self.blocks(self.stem_norm(self.stem(image)).relu())
        # A word fills a part of the second: its mean tells what there is, its maximum what stands out.
        read = heard.mean(dim=(2, 3)) + 0.5 * heard.amax(dim=(2, 3))
        logits: Tensor = self.head(self.dropout(self.read_norm(read)))
        return logits


def build(params: Params, training: Training, labels: list[str], examples: Examples, store: Path) -> NetClassifier:
    return _classifier(about_of(params, labels, examples), training)


def restore(folder: Path, training: Training) -> NetClassifier:
    return _classifier(About.read(folder), training).load(folder)


def _classifier(about: About, training: Training) -> NetClassifier:
    params = Params(**about.options["params"])
    return classifier_of(ResNet(params, len(about.labels)), params, about, training)
