"""A residual net over the log-mel spectrogram (He et al. 2016), read by the mean and the maximum over its map."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from pipeline.examples.training_data import Examples
from pipeline.features.spec_augment import SpecAugmentParams
from pipeline.learners.network import NetClassifier
from pipeline.learners.training import Training
from pipeline.models import _log_mel_net as log_mel_net
from pipeline.models._log_mel_net import FRAMES
from pipeline.models._read_norm import ReadNorm
from pipeline.models._streaming import streaming
from pipeline.settings import Settings

__all__ = ["Params", "Training", "build", "restore", "streaming"]

Count = Annotated[int, Field(ge=1)]


class Params(Settings):
    """A residual block each for `channels`, which halves time and frequency where its entry of `strides` is 2.

    As it is, 714,000 weights for 31 labels. Widths of [16, 24, 24, 48, 48, 64] make 170,000 of them, twice the widths
    four times as many.

    `streaming` makes a net that can hear on and on, each frame computed once (`pipeline export --streaming`): no
    convolution sees zeros before or after a second, so what it says of one is the same, whatever came before. Only a
    block's first convolution sees several frames, and only the first stride of 2 halves them.
    """

    num_mel_bins: int = Field(40, ge=8, le=128)
    stem_channels: Count = 24
    channels: tuple[Count, ...] = Field((24, 48, 48, 96, 96, 144), min_length=1)
    strides: tuple[Annotated[int, Field(ge=1, le=2)], ...] = (1, 2, 1, 2, 1, 1)
    dropout: float = Field(0.2, ge=0, lt=1)
    streaming: bool = False
    spec_augment: SpecAugmentParams = SpecAugmentParams(frequency_width=7, time_width=18)

    @model_validator(mode="after")
    def _one_each(self) -> "Params":
        if len(self.strides) != len(self.channels):
            raise ValueError(f"{len(self.channels)} channels need as many strides; got {len(self.strides)}")
        if self.streaming and (field := field_of(time_strides(self.strides))) > FRAMES:
            raise ValueError(f"a streaming net sees {FRAMES} frames; with so many blocks it would need {field}")
        return self


STEM_FRAMES, BLOCK_FRAMES = 5, 3  # that a convolution sees


def time_strides(strides: Sequence[int]) -> list[int]:
    """Return by how much each block of a streaming net divides the frames: the first that divides them, alone."""
    first = list(strides).index(2) if 2 in strides else None
    return [2 if number == first else 1 for number in range(len(strides))]


def field_of(strides: Sequence[int]) -> int:
    """Return how many frames a streaming net sees for one of its outputs."""
    field, apart = STEM_FRAMES, 2
    for stride in strides:
        field, apart = field + (BLOCK_FRAMES - 1) * apart, apart * stride
    return field


class Block(nn.Module):
    """Two 3 x 3 convolutions and a way round them; a stride of 2 halves time and bins.

    With `time_stride`, that of a streaming net, the maps lose their first two frames, and the second convolution sees
    one frame alone.
    """

    def __init__(self, before: int, after: int, stride: int, time_stride: int | None = None) -> None:
        super().__init__()
        self.lost = 0 if time_stride is None else BLOCK_FRAMES - 1
        strides = (stride if time_stride is None else time_stride, stride)
        kernel, padding = (3, (1, 1)) if time_stride is None else ((1, 3), (0, 1))
        self.first = nn.Conv2d(before, after, BLOCK_FRAMES, strides, padding, bias=False)
        self.first_norm = nn.BatchNorm2d(after)
        self.second = nn.Conv2d(after, after, kernel, padding=padding, bias=False)
        self.second_norm = nn.BatchNorm2d(after)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or before != after:
            self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, strides, bias=False), nn.BatchNorm2d(after))

    @property
    def kept(self) -> int:
        """How many frames of a step a streaming net's next step needs, too."""
        return BLOCK_FRAMES - self.first.stride[0]

    def forward(self, heard: Tensor) -> Tensor:
        return self._added(heard, heard[:, :, self.lost :])

    def hear(self, kept: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Return what a streaming net makes of a step's maps, after those that it kept, and what it keeps of both."""
        heard = torch.cat([kept, maps], dim=2)
        # Nothing is cut out that is there already: in so short a step, a copy takes as long as a convolution.
        new = maps if maps.shape[2] == self.kept else heard[:, :, -self.kept :]
        passed = maps if self.kept == self.lost else maps[:, :, self.lost - self.kept :]
        return self._added(heard, passed), new

    def _added(self, heard: Tensor, passed: Tensor) -> Tensor:
        changed = self.second_norm(self.second(self.first_norm(self.first(heard)).relu()))
        return (changed + self.shortcut(passed)).relu()


class ResNet(nn.Module):
    """Log-mel [clips, frames, bins] -> logits [clips, labels]."""

    step_samples = 640  # of a streaming net: four frames, which its strides make one

    def __init__(self, params: Params, labels: int) -> None:
        super().__init__()
        self.streaming = params.streaming
        padding = (0, 2) if params.streaming else 2
        self.stem = nn.Conv2d(1, params.stem_channels, STEM_FRAMES, stride=2, padding=padding, bias=False)
        self.stem_norm = nn.BatchNorm2d(params.stem_channels)
        before = (params.stem_channels, *params.channels)[:-1]
        in_time = time_strides(params.strides)
        self.blocks = nn.Sequential(
            *(
                Block(taken, given, stride, time_stride if params.streaming else None)
                for taken, given, stride, time_stride in zip(
                    before, params.channels, params.strides, in_time, strict=True
                )
            )
        )
        self.read_norm = ReadNorm(params.channels[-1])
        self.dropout = nn.Dropout(params.dropout)
        self.head = nn.Linear(params.channels[-1], labels)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.outputs, self.skipped = 0, 0
        if params.streaming:  # so many a second, the last at its end; before the first, frames too few for another
            more, self.skipped = divmod(FRAMES - field_of(in_time), 2 * math.prod(in_time))
            self.outputs = 1 + more

    def forward(self, features: Tensor) -> Tensor:
        # Channels last: convolutions on a CPU are then half again as fast.
        image = features[:, self.skipped :].unsqueeze(1).contiguous(memory_format=torch.channels_last)
        return self.read(self.blocks(self.stem_norm(self.stem(image)).relu()))

    def read(self, heard: Tensor) -> Tensor:
        """Return the logits of what the blocks heard, [clips, channels, frames, bins]."""
        # A word fills a part of the second: its mean tells what there is, its maximum what stands out.
        read = heard.mean(dim=(2, 3)) + 0.5 * heard.amax(dim=(2, 3))
        logits: Tensor = self.head(self.dropout(self.read_norm(read)))
        return logits

    def silence(self, bins: int) -> dict[str, Tensor]:
        """Return the state of a streaming net before it heard anything: zeros, as `models._streaming` wants them."""
        state = {"kept_by_stem": torch.zeros(1, 1, STEM_FRAMES - 2, bins)}
        bins = -(-bins // 2)
        for number, block in enumerate(self._blocks()):
            state[f"kept_by_block_{number}"] = torch.zeros(1, block.first.in_channels, block.kept, bins)
            bins = -(-bins // block.first.stride[1])
        return {**state, "second": torch.zeros(1, self.head.in_features, self.outputs, bins)}

    def hear(self, features: Tensor, old: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the logits of the second that ends with a step's frames [1, frames, bins], and the new state."""
        maps = torch.cat([old["kept_by_stem"], features[:, None]], dim=2)
        new = {"kept_by_stem": maps[:, :, -old["kept_by_stem"].shape[2] :]}
        maps = self.stem_norm(self.stem(maps)).relu()
        for number, block in enumerate(self._blocks()):
            name = f"kept_by_block_{number}"
            maps, new[name] = block.hear(old[name], maps)
        new["second"] = torch.cat([old["second"], maps], dim=2)[:, :, maps.shape[2] :]
        return self.read(new["second"]), new

    def _blocks(self) -> list[Block]:
        return [block for block in self.blocks if isinstance(block, Block)]


def build(params: Params, training: Training, labels: list[str], examples: Examples, store: Path) -> NetClassifier:
    return log_mel_net.build(ResNet, params, training, labels, examples)


def restore(folder: Path, training: Training) -> NetClassifier:
    return log_mel_net.restore(ResNet, Params, folder, training)
