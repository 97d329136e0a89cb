"""Recurrent nets over the frames of a spectrogram: what the models `lstm` and `gru` share."""

from pathlib import Path
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from pipeline.examples.training_data import Examples
from pipeline.features.mel_amplitude import MelAmplitude
from pipeline.features.spec_augment import SpecAugment, SpecAugmentParams
from pipeline.learners.network import NetClassifier, NetworkSpec
from pipeline.learners.training import Training
from pipeline.models._log_mel_net import FRAMES, classifier_of, spec_of
from pipeline.models._read_norm import ReadNorm
from pipeline.settings import Settings

Cell = Literal["lstm", "gru"]
Pooling = Literal["last", "mean_max", "attention"]
CELLS: dict[str, type[nn.LSTM] | type[nn.GRU]] = {"lstm": nn.LSTM, "gru": nn.GRU}


class RecurrentParams(Settings):
    """`spectrogram`: normalised log-mel, 98 frames a second, or the bare amplitude (librosa's frames, 32 a second).

    `channels` of the convolutions over time and frequency that come before the recurrent layers; each halves the bins,
    the first (5 x 5, the others 3 x 3) the frames too, so that a word spoken a little higher or later looks alike.
    `pooling` over time: last state (of each direction its own), mean and maximum, or attention. `read_norm`: what was
    pooled is normalised over the batch.
    `streaming` makes a net that can hear on and on, each frame computed once (`pipeline export --streaming`): its
    convolutions look back only, it reads in one direction, and half of the batches it learns begin in the middle of
    sound, so that what it says of a second does not depend on what came before.
    """

    spectrogram: Literal["log", "amplitude"] = "log"
    num_mel_bins: int = Field(40, ge=8, le=128)
    channels: list[Annotated[int, Field(ge=1)]] = Field([24, 48], max_length=3)
    hidden: int = Field(96, ge=1)
    layers: int = Field(2, ge=1)
    bidirectional: bool = True
    pooling: Pooling = "mean_max"
    read_norm: bool = True
    dropout: float = Field(0.3, ge=0, lt=1)
    streaming: bool = False
    spec_augment: SpecAugmentParams = SpecAugmentParams(frequency_width=6, time_width=12)

    @model_validator(mode="after")
    def _streamable(self) -> Self:
        if self.streaming and (self.bidirectional or self.spectrogram != "log"):
            raise ValueError("streaming needs bidirectional: false and the spectrogram log: it cannot read backwards")
        return self


class CausalConv2d(nn.Conv2d):
    """A convolution over [clips, channels, frames, bins] that sees no later frame; zeros stand before the first."""

    @property
    def before(self) -> int:
        """How many earlier frames it sees."""
        return self.kernel_size[0] - 1

    def forward(self, maps: Tensor) -> Tensor:
        return super().forward(nn.functional.pad(maps, (0, 0, self.before, 0)))

    def valid(self, maps: Tensor) -> Tensor:
        """Return the same of maps that begin with the `before` frames before their first."""
        return super().forward(maps)


class RecurrentNet(nn.Module):
    """[clips, frames, bins] -> logits [clips, labels]."""

    step_samples = 1_600  # of a streaming net: ten frames, which its first convolution makes five

    def __init__(self, cell: Cell, params: RecurrentParams, labels: int) -> None:
        super().__init__()
        self.streaming = params.streaming
        kind = CausalConv2d if params.streaming else nn.Conv2d
        convolutions: list[nn.Module] = []
        taken, bins = 1, params.num_mel_bins
        for channels in params.channels:
            kernel, stride = (5, (2, 2)) if not convolutions else (3, (1, 2))
            padding = (0 if params.streaming else kernel // 2, kernel // 2)
            convolutions += [
                kind(taken, channels, kernel, stride, padding, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
            ]
            taken, bins = channels, -(-bins // 2)
        self.convolutions = nn.Sequential(*convolutions)
        self.recurrent = CELLS[cell](
            taken * bins,
            params.hidden,
            params.layers,
            batch_first=True,
            bidirectional=params.bidirectional,
            dropout=params.dropout if params.layers > 1 else 0.0,
        )
        width = params.hidden * (2 if params.bidirectional else 1)
        self.pool = Pool(params.pooling, width, params.bidirectional)
        width *= 2 if params.pooling == "mean_max" else 1
        self.read_norm = ReadNorm(width) if params.read_norm else nn.Identity()
        self.dropout = nn.Dropout(params.dropout)
        self.head = nn.Linear(width, labels)

    def forward(self, features: Tensor) -> Tensor:
        earlier = 0
        if self.streaming and self.training and torch.rand(()) < 0.5:
            earlier = features.shape[1] // 4 * 2  # even, as the first convolution halves the frames
            features = torch.cat([features.roll(1, dims=0)[:, -earlier:], features], dim=1)
        maps = self.convolutions(features[:, None])  # [clips, channels, frames, bins]
        states, _ = self.recurrent(self.dropout(maps.transpose(1, 2).flatten(2)))
        if earlier:
            states = states[:, earlier * states.shape[1] // features.shape[1] :]
        return self.read(states)

    def read(self, states: Tensor) -> Tensor:
        """Return the logits of states [clips, frames, width]."""
        logits: Tensor = self.head(self.dropout(self.read_norm(self.pool(states))))
        return logits

    def silence(self, bins: int) -> dict[str, Tensor]:
        """Return the state of a streaming net before it heard anything: zeros, as `models._streaming` wants them.

        They are what a clip's convolutions see before its first frame.
        """
        state, frames = {}, FRAMES
        for number, layer in enumerate(self._causal()):
            state[f"kept_frames_{number}"] = torch.zeros(1, layer.in_channels, layer.before, bins)
            frames, bins = -(-frames // layer.stride[0]), -(-bins // layer.stride[1])
        for name in ("hidden", "cell")[: 2 if isinstance(self.recurrent, nn.LSTM) else 1]:
            state[name] = torch.zeros(self.recurrent.num_layers, 1, self.recurrent.hidden_size)
        return {**state, "second": torch.zeros(1, frames, self.recurrent.hidden_size)}

    def hear(self, features: Tensor, old: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the logits of the second that ends with a step's frames [1, frames, bins], and the new state."""
        maps, new, number = features[:, None], {}, 0
        for layer in self.convolutions:
            if isinstance(layer, CausalConv2d):
                name = f"kept_frames_{number}"
                maps = torch.cat([old[name], maps], dim=2)
                new[name] = maps[:, :, -layer.before :]
                maps = layer.valid(maps)
                number += 1
            else:
                maps = layer(maps)
        steps = maps.transpose(1, 2).flatten(2)
        if "cell" in old:
            states, (new["hidden"], new["cell"]) = self.recurrent(steps, (old["hidden"], old["cell"]))
        else:
            states, new["hidden"] = self.recurrent(steps, old["hidden"])
        new["second"] = torch.cat([old["second"], states], dim=1)[:, -old["second"].shape[1] :]
        return self.read(new["second"]), new

    def _causal(self) -> list[CausalConv2d]:
        return [layer for layer in self.convolutions if isinstance(layer, CausalConv2d)]


class Pool(nn.Module):
    """States of a recurrent layer [clips, frames, width] -> [clips, width]; mean and maximum: [clips, 2 x width].

    Attention weighs the frames by the softmax of a learnt projection (Lin et al. 2017, equation 5 with one hop).
    The last state is that of the last frame; where the second half of a state was read backwards (`bidirectional`),
    that half is the first frame's. So each direction has read the whole clip.
    """

    def __init__(self, kind: Pooling, width: int, bidirectional: bool = False) -> None:
        super().__init__()
        self.kind = kind
        self.bidirectional = bidirectional
        if kind == "attention":
            self.scores = nn.Sequential(nn.Linear(width, width // 2 or 1), nn.Tanh(), nn.Linear(width // 2 or 1, 1))

    def forward(self, states: Tensor) -> Tensor:
        if self.kind == "mean_max":
            return torch.cat([states.mean(dim=1), states.amax(dim=1)], dim=-1)
        if self.kind == "attention":
            return (self.scores(states).softmax(dim=1) * states).sum(dim=1)
        if not self.bidirectional:
            return states[:, -1]
        half = states.shape[-1] // 2
        return torch.cat([states[:, -1, :half], states[:, 0, half:]], dim=-1)


def build(
    cell: Cell, params: RecurrentParams, training: Training, labels: list[str], examples: Examples
) -> NetClassifier:
    """Return an unfitted classifier; the log-mel is normalised to the training clips."""
    spec = NetworkSpec(labels, examples.multi_label, {"params": params.model_dump()})
    return _classifier(cell, spec_of(params, labels, examples) if params.spectrogram == "log" else spec, training)


def restore(cell: Cell, folder: Path, training: Training) -> NetClassifier:
    return _classifier(cell, NetworkSpec.read(folder), training).load(folder)


def _classifier(cell: Cell, spec: NetworkSpec, training: Training) -> NetClassifier:
    params = RecurrentParams(**spec.options["params"])
    net = RecurrentNet(cell, params, len(spec.labels))
    if params.spectrogram == "log":
        return classifier_of(net, params, spec, training)
    front_end = MelAmplitude(num_mel_bins=params.num_mel_bins)
    return NetClassifier(net, spec, front_end, training, SpecAugment(params.spec_augment))
