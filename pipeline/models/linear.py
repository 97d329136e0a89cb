"""Two linear layers over all frames at once: Linear-ReLU-Linear, the published baseline over AudioSet's embeddings."""

from pathlib import Path

from pydantic import Field
from torch import Tensor, nn

from pipeline.examples.training_data import Examples
from pipeline.features.frames import BINS, FrameParams, spread
from pipeline.learners.network import NetClassifier
from pipeline.learners.training import Training
from pipeline.models import _frame_net as frame_net

__all__ = ["INPUTS", "Params", "Training", "build", "restore"]

INPUTS = ("samples", "embeddings")


class Params(FrameParams):
    """`hidden` units between the layers; 32 to 128 were published."""

    hidden: int = Field(32, ge=1)


class Linear(nn.Module):
    """Frames [clips, frames, 128] in 0..255 -> logits [clips, labels]."""

    def __init__(self, frames: int, labels: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(frames * BINS, hidden), nn.ReLU(), nn.Linear(hidden, labels)
        )

    def forward(self, frames: Tensor) -> Tensor:
        logits: Tensor = self.layers(spread(frames))
        return logits


def build(params: Params, training: Training, labels: list[str], examples: Examples, store: Path) -> NetClassifier:
    net = {"hidden": params.hidden}
    return frame_net.build(Linear, net, params, training, labels, examples)


def restore(folder: Path, training: Training) -> NetClassifier:
    return frame_net.restore(Linear, folder, training)
