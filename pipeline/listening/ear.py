"""What hears: samples as they come in, probabilities of each step out. The gate, `listen` and its page share these."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.clips.waveform import CLIP_SAMPLES, SAMPLE_RATE_HZ
from pipeline.examples.training_data import as_float
from pipeline.learners.classifier import Classifier
from pipeline.listening.windows import SlidingWindows

Steps = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class Ear(Protocol):
    """Step k is what is heard of the second whose end lies k x `hop_samples` after the first whole second."""

    labels: list[str]
    multi_label: bool
    hop_samples: int

    def hear(self, samples: NDArray[np.int16]) -> NDArray[np.float32]:
        """Return the probabilities, float32 [steps, labels], of the steps that `samples` [any number] complete."""


class SlidingSecond:
    """A classifier of seconds, given each second anew."""

    def __init__(self, classifier: Classifier, hop_ms: int) -> None:
        self.classifier = classifier
        self.labels = list(classifier.labels)
        self.multi_label = classifier.multi_label
        self.hop_samples = round(hop_ms / 1000 * SAMPLE_RATE_HZ)
        self._windows = SlidingWindows(self.hop_samples)

    def hear(self, samples: NDArray[np.int16]) -> NDArray[np.float32]:
        return self.classifier.predict_proba(self._windows.push(samples))


class StreamingEar:
    """An exported streaming net (`python -m pipeline export --streaming`): each frame is computed once.

    `steps` takes the next samples, float32 [1, step_samples] in -1..1, and gives the probabilities [labels].
    """

    def __init__(self, steps: Steps, labels: list[str], step_samples: int, multi_label: bool = False) -> None:
        self.labels = labels
        self.multi_label = multi_label
        self.hop_samples = step_samples
        self._steps = steps
        self._held = np.empty(0, np.int16)
        self._early = CLIP_SAMPLES // step_samples - 1  # steps before the first whole second

    def hear(self, samples: NDArray[np.int16]) -> NDArray[np.float32]:
        held = np.concatenate([self._held, samples])
        whole = len(held) // self.hop_samples * self.hop_samples
        self._held = held[whole:]
        found = [self._steps(step) for step in as_float(held[:whole]).reshape(-1, 1, self.hop_samples)]
        early = min(self._early, len(found))
        self._early -= early
        return np.stack(found[early:]) if len(found) > early else np.empty((0, len(self.labels)), np.float32)
