"""An LSTM over the frames of a clip with marks where it starts and ends, after the published net over AudioSet."""

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
START, END = -1.0, -2.0


class Params(FrameParams):
    hidden: int = Field(128, ge=1)
    layers: int = Field(1, ge=1)
    dropout: float = Field(0.2, ge=0, lt=1)


class EmbeddingLstm(nn.Module):
    """Frames [clips, frames, 128] in 0..255 -> logits [clips, labels].

    A frame of -1 before the clip and one of -2 after it, on the scale of -2..2 that the net reads. The prediction is
    that of the last step, at the end's mark: all seconds are heard, and the net knows that no other follows.
    """

    def __init__(self, labels: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.lstm = nn.LSTM(BINS, hidden, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden, labels))

    def forward(self, frames: Tensor) -> Tensor:
        clip = nn.functional.pad(spread(frames), (0, 0, 1, 0), value=START)
        clip = nn.functional.pad(clip, (0, 0, 0, 1), value=END)
        logits: Tensor = self.head(self.lstm(clip)[0][:, -1])
        return logits


def check(params: Params, store: Path) -> None:
    """Nothing is needed."""


def build(params: Params, training: Training, labels: list[str], examples: Examples, store: Path) -> NetClassifier:
    front_end = frames_for(examples.read, examples.rows, params.frames)
    net = params.model_dump(include={"hidden", "layers", "dropout"})
    about = About(labels, examples.multi_label, {"front_end": front_end.options, "net": net})
    return _classifier(about, training, EmbeddingAugment(params.embedding_augment, labels))


def restore(folder: Path, training: Training) -> NetClassifier:
    return _classifier(About.read(folder), training).load(folder)


def _classifier(about: About, training: Training, masking: EmbeddingAugment | None = None) -> NetClassifier:
    net = EmbeddingLstm(len(about.labels), **about.options["net"])
    return NetClassifier(net, about, Frames(**about.options["front_end"]), training, masking)
