"""A recurrent net that hears on and on: a step of samples and its state in, probabilities and its state out."""

from typing import Any

import torch
from torch import Tensor, nn

from pipeline.clips.waveform import CLIP_SAMPLES
from pipeline.errors import PipelineError
from pipeline.features.log_mel import FRAME_SAMPLES, HOP_SAMPLES, LogMel
from pipeline.learners.losses import probabilities_of
from pipeline.learners.network import NetClassifier
from pipeline.models._recurrent import CausalConv2d, RecurrentNet

# The last frame of a second ends 80 samples before it (97 hops and a frame): so much sound is left over from step to
# step that the frames of a step begin where those of the step before have ended.
KEPT_SAMPLES = 2 * HOP_SAMPLES


class StreamingStep(nn.Module):
    """float32 samples [1, step] in -1..1 and the state -> probabilities [1, labels] of the last second, and the state.

    Each frame of the spectrogram, each convolution of it and each recurrent state is computed once. Kept from step to
    step are the last samples, each convolution's last frames, the recurrent state, and the states of the last second,
    which are pooled. All of them begin as zeros: what a clip's convolutions see before its first frame.
    """

    def __init__(self, classifier: NetClassifier, step_samples: int) -> None:
        super().__init__()
        front_end, net = classifier.front_end, classifier.model
        assert isinstance(front_end, LogMel)
        assert isinstance(net, RecurrentNet)
        self.net = net
        self.front_end = LogMel(
            num_mel_bins=front_end.filters.shape[1],
            max_length=step_samples // HOP_SAMPLES,
            mean=front_end.mean,
            std=front_end.std,
        )
        self.loss = classifier.loss
        self.multi_label = classifier.multi_label
        self.step_samples = step_samples
        self.convolutions = [layer for layer in net.convolutions if isinstance(layer, CausalConv2d)]

    @property
    def state(self) -> dict[str, Tensor]:
        """The state before the first step, by the names of the graph's inputs."""
        bins = self.front_end.filters.shape[1]
        state = {"kept_samples": torch.zeros(1, KEPT_SAMPLES)}
        for number, layer in enumerate(self.convolutions):
            state[f"kept_frames_{number}"] = torch.zeros(1, layer.in_channels, layer.before, bins)
            bins = -(-bins // 2)
        recurrent = self.net.recurrent
        for name in ("hidden", "cell")[: 2 if isinstance(recurrent, nn.LSTM) else 1]:
            state[name] = torch.zeros(recurrent.num_layers, 1, recurrent.hidden_size)
        stride = 2 if self.convolutions else 1
        frames = 1 + (CLIP_SAMPLES - FRAME_SAMPLES) // HOP_SAMPLES
        state["second"] = torch.zeros(1, -(-frames // stride), recurrent.hidden_size)
        return state

    def forward(self, samples: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        old = dict(zip(self.state, state, strict=True))
        sound = torch.cat([old["kept_samples"], samples], dim=1)
        new = {"kept_samples": sound[:, -KEPT_SAMPLES:]}
        maps = self.front_end(sound)[:, None]  # [1, 1, frames, bins]
        number = 0
        for layer in self.net.convolutions:
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
            states, (new["hidden"], new["cell"]) = self.net.recurrent(steps, (old["hidden"], old["cell"]))
        else:
            states, new["hidden"] = self.net.recurrent(steps, old["hidden"])
        new["second"] = torch.cat([old["second"], states], dim=1)[:, -old["second"].shape[1] :]
        logits = self.net.read(new["second"])
        return probabilities_of(self.loss, logits, self.multi_label), *(new[name] for name in old)


def streaming(classifier: Any, step_samples: int) -> StreamingStep:
    """Return the step of a recurrent net that was trained to stream.

    Raises PipelineError for one that was not, and a step that is no whole number of its frames.
    """
    if not isinstance(classifier, NetClassifier) or not getattr(classifier.model, "streaming", False):
        raise PipelineError(
            "This run was not trained to stream: it reads each second from both of its ends.\n"
            "Set `parameters: {streaming: true, bidirectional: false}` of the run in params.yaml, and train it."
        )
    step = StreamingStep(classifier, step_samples)
    unit = HOP_SAMPLES * (2 if step.convolutions else 1)
    if step_samples % unit or CLIP_SAMPLES % step_samples:
        raise PipelineError(
            f"A step of {step_samples} samples is no whole number of {unit}, or no part of a second; take 100 ms."
        )
    return step
