"""A transformer encoder on the frames themselves, with no embedding layer, after the published net over AudioSet."""

import math
from pathlib import Path
from typing import Literal

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


class Params(FrameParams):
    layers: int = Field(2, ge=1)
    heads: Literal[1, 2, 4, 8, 16, 32] = 4  # each reads an equal part of the 128 values
    feed_forward: int = Field(256, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)


class EmbeddingTransformer(nn.Module):
    """Frames [clips, frames, 128] in 0..255 -> logits [clips, labels].

    A frame's 128 values are the encoder's; the place of a frame is added as sines (Vaswani et al. 2017, section 3.5),
    which nothing has to learn, and the frames' outputs are averaged. With `one_logit`, a yes or no is one logit z: the
    labels get -z and z, whose binary cross-entropies are both that of z.
    """

    places: Tensor

    def __init__(
        self,
        frames: int,
        labels: int,
        layers: int,
        heads: int,
        feed_forward: int,
        dropout: float,
        one_logit: bool,
    ) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            BINS, heads, feed_forward, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, layers, nn.LayerNorm(BINS), enable_nested_tensor=False)
        self.head = nn.Linear(BINS, 1 if one_logit else labels)
        self.one_logit = one_logit
        angles = torch.arange(frames)[:, None] * torch.exp(torch.arange(0, BINS, 2) * (-math.log(10_000) / BINS))
        self.register_buffer("places", torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1), persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        heard = self.encoder(spread(frames) + self.places).mean(dim=1)
        logits: Tensor = self.head(heard)
        return torch.cat([-logits, logits], dim=1) if self.one_logit else logits


def build(params: Params, training: Training, labels: list[str], examples: Examples, store: Path) -> NetClassifier:
    """A yes or no has one logit if `training.loss` is binary_cross_entropy, else two and cross-entropy."""
    one_logit = training.loss == "binary_cross_entropy" and len(labels) == 2 and not examples.multi_label
    net = {**params.model_dump(include={"layers", "heads", "feed_forward", "dropout"}), "one_logit": one_logit}
    return frame_net.build(EmbeddingTransformer, net, params, training, labels, examples)


def restore(folder: Path, training: Training) -> NetClassifier:
    return frame_net.restore(EmbeddingTransformer, folder, training)
