"""BC-ResNet: a residual net whose blocks look mostly along time.

Kim et al., "Broadcasted residual learning for efficient keyword spotting", Interspeech 2021. A block finds out what
each band holds, takes the mean over all bands, looks along time in that mean alone, and adds what it finds there to
every band.
"""

from pathlib import Path

from pydantic import Field, field_validator
from torch import Tensor, nn

from pipeline.examples.training_data import Examples
from pipeline.features.spec_augment import SpecAugmentParams
from pipeline.learners.network import NetClassifier
from pipeline.learners.training import Training
from pipeline.models import _log_mel_net as log_mel_net
from pipeline.settings import Settings

__all__ = ["Params", "Training", "build", "restore"]

SUB_BANDS = 5  # each normalised by itself (Chang et al., "Subspectral normalization", ICASSP 2021)
BANDS_TO_ONE = 8  # the stem and two stages halve the bands
# Of each stage: its width in units of `scale`, its blocks, by how much it divides the bands; the dilation doubles.
STAGES = ((8, 2, 1), (12, 2, 2), (16, 4, 2), (20, 4, 1))
STEM, LAST = 16, 32


class Params(Settings):
    """The published sizes are those of `scale` 1 to 8: 10,000 to 326,000 weights for 31 labels.

    `time_stride` 2 halves the frames at the start, for half of the time that a training takes; published is 1.
    """

    num_mel_bins: int = Field(40, ge=40, le=120)
    scale: float = Field(3, ge=0.5, le=32)
    time_stride: int = Field(1, ge=1, le=2)
    dropout: float = Field(0.1, ge=0, lt=1)
    spec_augment: SpecAugmentParams = SpecAugmentParams(frequency_width=7, time_width=18)

    @field_validator("num_mel_bins")
    @classmethod
    def _sub_bands_are_whole(cls, bins: int) -> int:
        if bins % (BANDS_TO_ONE * SUB_BANDS):
            raise ValueError(f"must be a multiple of {BANDS_TO_ONE * SUB_BANDS}, so that it has whole sub-bands")
        return bins


class SubSpectralNorm(nn.Module):
    """Batch normalisation of [clips, channels, bands, frames], with figures of their own for each of the sub-bands."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels * SUB_BANDS)

    def forward(self, maps: Tensor) -> Tensor:
        clips, channels, bands, frames = maps.shape
        apart = maps.reshape(clips, channels * SUB_BANDS, bands // SUB_BANDS, frames)
        normalised: Tensor = self.norm(apart)
        return normalised.reshape(maps.shape)


class Block(nn.Module):
    """What each band holds, and what the mean over the bands does along time, added to it.

    The first block of a stage changes the width and may halve the bands; all others add what they were given, too.
    """

    def __init__(self, before: int, after: int, stride: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.widened: nn.Module | None = None
        if before != after:
            self.widened = nn.Sequential(nn.Conv2d(before, after, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU())
        self.over_bands = nn.Conv2d(after, after, (3, 1), (stride, 1), (1, 0), groups=after, bias=False)
        self.bands_norm = SubSpectralNorm(after)
        self.along_time = nn.Conv1d(after, after, 3, padding=dilation, dilation=dilation, groups=after, bias=False)
        self.time_norm = nn.BatchNorm1d(after)
        self.mixed = nn.Conv1d(after, after, 1, bias=False)
        self.dropout = nn.Dropout1d(dropout)

    def forward(self, maps: Tensor) -> Tensor:
        of_bands = self.bands_norm(self.over_bands(maps if self.widened is None else self.widened(maps)))
        of_time = nn.functional.silu(self.time_norm(self.along_time(of_bands.mean(dim=2))))
        heard = of_bands + self.dropout(self.mixed(of_time)).unsqueeze(2)
        return (heard if self.widened is not None else heard + maps).relu()


class BCResNet(nn.Module):
    """Log-mel [clips, frames, bins] -> logits [clips, labels]."""

    def __init__(self, params: Params, labels: int) -> None:
        super().__init__()
        before = _width(STEM, params)
        self.stem = nn.Conv2d(1, before, 5, (2, params.time_stride), 2, bias=False)
        self.stem_norm = nn.BatchNorm2d(before)
        blocks = []
        for number, (width, count, stride) in enumerate(STAGES):
            for place in range(count):
                after = _width(width, params)
                blocks.append(Block(before, after, stride if place == 0 else 1, 2**number, params.dropout))
                before = after
        self.blocks = nn.Sequential(*blocks)
        # Over all bands that are left, which it makes one.
        left = params.num_mel_bins // BANDS_TO_ONE
        self.over_all = nn.Conv2d(before, before, (left, 5), padding=(0, 2), groups=before, bias=False)
        self.last = nn.Conv2d(before, _width(LAST, params), 1, bias=False)
        self.last_norm = nn.BatchNorm2d(_width(LAST, params))
        self.head = nn.Linear(_width(LAST, params), labels)

    def forward(self, features: Tensor) -> Tensor:
        maps = self.stem_norm(self.stem(features.transpose(1, 2).unsqueeze(1))).relu()
        read = self.last_norm(self.last(self.over_all(self.blocks(maps)))).relu()
        logits: Tensor = self.head(read.mean(dim=(2, 3)))
        return logits


def build(params: Params, training: Training, labels: list[str], examples: Examples, store: Path) -> NetClassifier:
    return log_mel_net.build(BCResNet, params, training, labels, examples)


def restore(folder: Path, training: Training) -> NetClassifier:
    return log_mel_net.restore(BCResNet, Params, folder, training)


def _width(units: int, params: Params) -> int:
    return round(units * params.scale)
