"""An LSTM over the frames of a clip with marks where it starts and ends, after the published net over AudioSet."""

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
START, END = -1.0, -2.0


class Params(FrameParams):
    hidden: int = Field(128, ge=1)
    layers: int = Field(1, ge=1)
    dropout: float = Field(0.2, ge=0, lt=1)


class EmbeddingLstm(nn.Module):
    """Frames [clips, frames, 128] in 0..255 -> logits [clips, labels].

    A frame of -1 before the clip and one of -2 after it, on the scale of -2..2 that the net reads. The prediction is
    that of the last step, at the end's mark: all seconds are heard, and the net knows that no other follows.
    It takes any number of `frames`.
    """

    def __init__(self, frames: int, labels: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.lstm = nn.LSTM(BINS, hidden, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden, labels))

    def forward(self, frames: Tensor) -> Tensor:
        clip = nn.functional.pad(spread(frames), (0, 0, 1, 0), value=START)
        clip = nn.functional.pad(clip, (0, 0, 0, 1), value=END)
        logits: Tensor = self.head(self.lstm(clip)[0][:, -1])
        return logits


def build(params: Params, training: Training, labels: list[str], examples: Examples, store: Path) -> NetClassifier:
    net = params.model_dump(include={"hidden", "layers", "dropout"})
    return frame_net.build(EmbeddingLstm, net, params, training, labels, examples)


def restore(folder: Path, training: Training) -> NetClassifier:
    return frame_net.restore(EmbeddingLstm, folder, training)
