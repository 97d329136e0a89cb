"""A net that hears on and on: a step of samples and its state in, probabilities and its state out."""

from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from pipeline.errors import PipelineError
from pipeline.features.log_mel import HOP_SAMPLES, LogMel
from pipeline.learners.losses import probabilities_of
from pipeline.learners.network import NetClassifier

# The last frame of a second ends 80 samples before it (97 hops and a frame): so much sound is left over from step to
# step that the frames of a step begin where those of the step before have ended.
KEPT_SAMPLES = 2 * HOP_SAMPLES


class StreamingNet(Protocol):
    """What a net over the log-mel offers that was trained to stream (`streaming` is true)."""

    streaming: bool
    step_samples: int  # how much it hears at a time: a part of a second, a whole number of its frames

    def silence(self, bins: int) -> dict[str, Tensor]:
        """Return its state before it heard anything."""

    def hear(self, features: Tensor, old: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the logits [1, labels] of the second that ends with a step's frames [1, frames, bins], and the state
        after it, in the same order.
        """


class StreamingStep(nn.Module):
    """float32 samples [1, step] in -1..1 and the state -> probabilities [1, labels] of the last second, and the state.

    Each frame of the spectrogram, each convolution of it and each recurrent state is computed once. Kept from step to
    step are the last samples, what the net itself keeps, and what it read of the last second, which is pooled.
    """

    def __init__(self, classifier: NetClassifier) -> None:
        super().__init__()
        front_end = classifier.front_end
        assert isinstance(front_end, LogMel)
        self.net = classifier.model
        self.step_samples = self._net.step_samples
        self.front_end = LogMel(
            num_mel_bins=front_end.filters.shape[1],
            max_length=self.step_samples // HOP_SAMPLES,
            mean=front_end.mean,
            std=front_end.std,
        )
        self.loss = classifier.loss
        self.multi_label = classifier.multi_label
        # Before the first step, by the names of the graph's inputs.
        kept = self._net.silence(front_end.filters.shape[1])
        self.state = {"kept_samples": torch.zeros(1, KEPT_SAMPLES), **kept}

    @property
    def _net(self) -> StreamingNet:
        return cast(StreamingNet, self.net)

    def forward(self, samples: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        old = dict(zip(self.state, state, strict=True))
        sound = torch.cat([old["kept_samples"], samples], dim=1)
        logits, new = self._net.hear(self.front_end(sound), old)
        new["kept_samples"] = sound[:, -KEPT_SAMPLES:]
        return probabilities_of(self.loss, logits, self.multi_label), *(new[name] for name in old)


def streaming(classifier: Any) -> StreamingStep:
    """Return the step of a net that was trained to stream. Raises PipelineError for one that was not."""
    if not isinstance(classifier, NetClassifier) or not getattr(classifier.model, "streaming", False):
        raise PipelineError(
            "This run was not trained to stream: it reads each second from both of its ends.\n"
            "Set `parameters: {streaming: true}` of the run in params.yaml (of a recurrent net `bidirectional: false`, "
            "too), and train it."
        )
    return StreamingStep(classifier)
