"""Two linear layers over all frames at once: Linear-ReLU-Linear, the published baseline over AudioSet's embeddings."""

from pathlib import Path

from pydantic import Field
from torch import Tensor, nn

from pipeline.features.embedding_augment import EmbeddingAugment
from pipeline.features.frames import BINS, FrameParams, Frames, frames_for, spread
from pipeline.learners.classifier import Examples
from pipeline.learners.network import About, NetClassifier
from pipeline.learners.trainer import Training

__all__ = ["INPUTS", "Params", "Training", "build", "check", "restore"]

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


def check(params: Params, store: Path) -> None:
    """Nothing is needed."""


def build(params: Params, training: Training, labels: list[str], examples: Examples, store: Path) -> NetClassifier:
    front_end = frames_for(examples.read, examples.rows, params.frames)
    about = About(labels, examples.multi_label, {"front_end": front_end.options, "net": {"hidden": params.hidden}})
    return _classifier(about, training, EmbeddingAugment(params.embedding_augment, labels))


def restore(folder: Path, training: Training) -> NetClassifier:
    return _classifier(About.read(folder), training).load(folder)


def _classifier(about: About, training: Training, masking: EmbeddingAugment | None = None) -> NetClassifier:
    front_end = Frames(**about.options["front_end"])
    net = Linear(front_end.frames, len(about.labels), **about.options["net"])
    return NetClassifier(net, about, front_end, training, masking)
