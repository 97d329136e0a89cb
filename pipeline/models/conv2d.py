"""Convolutions over the frames stacked to an image, after the published net over AudioSet's embeddings."""

from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor, nn

from pipeline.errors import PipelineError
from pipeline.examples.training_data import Examples
from pipeline.features.frames import BINS, FrameParams, spread
from pipeline.learners.network import NetClassifier
from pipeline.learners.training import Training
from pipeline.models import _frame_net as frame_net
from pipeline.models._read_norm import ReadNorm

__all__ = ["INPUTS", "Params", "Training", "build", "restore"]

INPUTS = ("samples", "embeddings")
KERNEL = 2
FEWEST_FRAMES = 6  # two convolutions, the pooling and the third leave one row of them


class Params(FrameParams):
    """`channels` of each convolution (published: 4), `hidden` units before the last layer."""

    channels: int = Field(4, ge=1)
    hidden: int = Field(64, ge=1)
    dropout: float = Field(0.3, ge=0, lt=1)


class Conv2d(nn.Module):
    """Frames [clips, frames, 128] in 0..255 -> logits [clips, labels].

    Raises PipelineError for embeddings of fewer than six seconds, of which the convolutions leave nothing.
    """

    def __init__(self, frames: int, labels: int, channels: int, hidden: int, dropout: float) -> None:
        super().__init__()
        if frames < FEWEST_FRAMES:
            raise PipelineError(
                f"conv2d needs at least {FEWEST_FRAMES} seconds a clip, and the corpus's have {frames}.\n"
                "Change `model` of the run in params.yaml, to linear for instance."
            )
        self.image = nn.Sequential(
            nn.Conv2d(1, channels, KERNEL),
            nn.ReLU(),
            nn.Conv2d(channels, channels, KERNEL),
            nn.MaxPool2d(KERNEL),
            nn.Conv2d(channels, channels, KERNEL),
            nn.Flatten(),
        )
        with torch.no_grad():
            values = self.image(torch.zeros(1, 1, frames, BINS)).shape[1]
        self.norm = ReadNorm(values)
        self.head = nn.Sequential(nn.Linear(values, hidden), nn.Dropout(dropout), nn.Linear(hidden, labels))

    def forward(self, frames: Tensor) -> Tensor:
        logits: Tensor = self.head(self.norm(self.image(spread(frames)[:, None])))
        return logits


def build(params: Params, training: Training, labels: list[str], examples: Examples, store: Path) -> NetClassifier:
    net = params.model_dump(include={"channels", "hidden", "dropout"})
    return frame_net.build(Conv2d, net, params, training, labels, examples)


def restore(folder: Path, training: Training) -> NetClassifier:
    return frame_net.restore(Conv2d, folder, training)
