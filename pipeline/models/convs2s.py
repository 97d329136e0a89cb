"""The encoder of convolutional sequence-to-sequence learning (Gehring et al. 2017), read by one step of attention."""

from pathlib import Path

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from pipeline.examples.training_data import Examples
from pipeline.features.spec_augment import SpecAugmentParams
from pipeline.learners.network import NetClassifier
from pipeline.learners.training import Training
from pipeline.models import _log_mel_net as log_mel_net
from pipeline.models._log_mel_net import FRAMES
from pipeline.settings import Settings

__all__ = ["Params", "Training", "build", "restore"]

SCALE = 0.5**0.5  # keeps the variance of a sum of two (section 3.4 of the paper)


class Params(Settings):
    """`stack` frames of the log-mel are one step of the sequence; `heads` learnt queries attend to the steps.

    A sequence that is one label long needs one step of the decoder, whose query is then a learnt constant.
    """

    num_mel_bins: int = Field(40, ge=8, le=128)
    stack: int = Field(2, ge=1, le=8)
    blocks: int = Field(4, ge=1)
    channels: int = Field(96, ge=1)
    kernel: int = Field(5, ge=1)
    heads: int = Field(1, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)
    spec_augment: SpecAugmentParams = SpecAugmentParams(frequency_width=6, time_width=12)

    @model_validator(mode="after")
    def _odd(self) -> "Params":
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, for each step to see as much before as after it; got {self.kernel}")
        return self


class ConvS2S(nn.Module):
    """Log-mel [clips, frames, bins] -> logits [clips, labels]."""

    def __init__(self, params: Params, frames: int, labels: int) -> None:
        super().__init__()
        width, keep = params.channels, 1 - params.dropout
        self.stack = params.stack
        self.embedding = nn.Linear(params.stack * params.num_mel_bins, width)
        self.positions = nn.Parameter(torch.empty(-(-frames // params.stack), width).normal_(0, 0.1))
        self.dropout = nn.Dropout(params.dropout)
        blocks = [nn.Conv1d(width, 2 * width, params.kernel, padding=params.kernel // 2) for _ in range(params.blocks)]
        for block in blocks:
            # Gated linear units quarter the variance, dropout raises it (section 3.5 of the paper).
            nn.init.normal_(block.weight, 0, (4 * keep / (params.kernel * width)) ** 0.5)
        self.blocks = nn.ModuleList(blocks)
        self.queries = nn.Parameter(torch.empty(params.heads, width).normal_(0, width**-0.5))
        self.head = nn.Linear(params.heads * width, labels)

    def forward(self, features: Tensor) -> Tensor:
        clips, frames, bins = features.shape
        padded = nn.functional.pad(features, (0, 0, 0, -frames % self.stack))
        steps = self.embedding(padded.reshape(clips, -1, self.stack * bins)) + self.positions  # [clips, steps, width]
        embedded = self.dropout(steps)
        encoded = embedded.transpose(1, 2)
        for block in self.blocks:
            encoded = (encoded + nn.functional.glu(block(self.dropout(encoded)), dim=1)) * SCALE
        context, _ = attend(self.queries, encoded.transpose(1, 2), embedded)
        logits: Tensor = self.head(self.dropout(context.flatten(1)))
        return logits


def attend(queries: Tensor, encoded: Tensor, embedded: Tensor) -> tuple[Tensor, Tensor]:
    """Return what the queries [heads, width] read of the steps, [clips, heads, width], and how they weigh them.

    Weights [clips, heads, steps] are the softmax of the dot products with `encoded` [clips, steps, width]; read is the
    sum of `encoded` and `embedded`, so that a frame's own content is not lost (equations 1 and 2 of the paper).
    """
    weights = (encoded @ queries.T).softmax(dim=1).transpose(1, 2)
    return weights @ (encoded + embedded), weights


def build(params: Params, training: Training, labels: list[str], examples: Examples, store: Path) -> NetClassifier:
    return log_mel_net.build(_net, params, training, labels, examples)


def restore(folder: Path, training: Training) -> NetClassifier:
    return log_mel_net.restore(_net, Params, folder, training)


def _net(params: Params, labels: int) -> ConvS2S:
    return ConvS2S(params, FRAMES, labels)
