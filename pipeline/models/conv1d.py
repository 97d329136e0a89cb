"""Convolutions along the flattened clip, after the published net over AudioSet's embeddings."""

from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor, nn

from pipeline.examples.training_data import Examples
from pipeline.features.frames import BINS, FrameParams, spread
from pipeline.learners.network import NetClassifier
from pipeline.learners.training import Training
from pipeline.models import _frame_net as frame_net

__all__ = ["INPUTS", "Params", "Training", "build", "restore"]

INPUTS = ("samples", "embeddings")
KERNEL = 3
LAST_CHANNELS = 128


class Params(FrameParams):
    """`active_layers`: how many of the eight are on, from the first: Conv1d, ReLU, Conv1d, Dropout, MaxPool1d, Conv1d,
    Dropout, Linear. The closing Linear maps to the labels, so it is always on: 7 and 8 are the same net.

    `channels` are those of the first two convolutions; the third has 128. `pool` is MaxPool1d's kernel and stride.
    """

    active_layers: int = Field(8, ge=2, le=8)
    channels: int = Field(16, ge=1)
    pool: int = Field(2, ge=1, le=16)
    dropout: float = Field(0.2, ge=0, lt=1)


class Conv1d(nn.Module):
    """Frames [clips, frames, 128] in 0..255 -> logits [clips, labels]."""

    def __init__(self, frames: int, labels: int, active_layers: int, channels: int, pool: int, dropout: float) -> None:
        super().__init__()
        layers = [
            nn.Conv1d(1, channels, KERNEL),
            nn.ReLU(),
            nn.Conv1d(channels, channels, KERNEL),
            nn.Dropout(dropout),
            nn.MaxPool1d(pool),
            nn.Conv1d(channels, LAST_CHANNELS, KERNEL),
            nn.Dropout(dropout),
        ]
        self.layers = nn.Sequential(*layers[:active_layers], nn.Flatten())
        with torch.no_grad():
            values = self.layers(torch.zeros(1, 1, frames * BINS)).shape[1]
        self.last = nn.Linear(values, labels)

    def forward(self, frames: Tensor) -> Tensor:
        line = spread(frames).flatten(1)[:, None]  # [clips, 1, frames x 128]
        logits: Tensor = self.last(self.layers(line))
        return logits


def build(params: Params, training: Training, labels: list[str], examples: Examples, store: Path) -> NetClassifier:
    net = params.model_dump(include={"active_layers", "channels", "pool", "dropout"})
    return frame_net.build(Conv1d, net, params, training, labels, examples)


def restore(folder: Path, training: Training) -> NetClassifier:
    return frame_net.restore(Conv1d, folder, training)
