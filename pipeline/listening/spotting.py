"""From the probabilities of each step to what was said and when: smoothing, a threshold, a time of rest after each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.settings import Settings

NOTHING = -1


class Spotting(Settings):
    """A keyword is said where its probability, averaged over `smoothing_ms`, reaches `threshold`.

    After that, nothing is for `refractory_ms`: neighbouring seconds hold the same word. As in the streaming accuracy of
    the organisers' example (TensorFlow, examples/speech_commands). The same keyword is said again only after all have
    been below the threshold in between: a word that is heard for longer is one word.
    """

    threshold: float = Field(0.7, gt=0, le=1)
    smoothing_ms: float = Field(300.0, ge=0, le=10_000)
    refractory_ms: float = Field(1000.0, ge=0)


@dataclass(frozen=True)
class Detection:
    """`time_s` is the middle of what was averaged: where the word is."""

    time_s: float
    label: str
    probability: float


class Smoothing:
    """The mean of each column over the last steps; steps before the first count as 0."""

    def __init__(self, columns: int, steps: int) -> None:
        self.steps = max(1, steps)
        self._last = np.zeros((self.steps - 1, columns), np.float32)

    def push(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return float32 [steps, columns]; the same whatever the steps are cut into."""
        held = np.concatenate([self._last, values])
        self._last = held[len(values) :]
        # Summed in the same order for each step: running sums would depend on where a block begins.
        return np.sum([held[at : at + len(values)] for at in range(self.steps)], axis=0) / np.float32(self.steps)


class Spotter:
    """Takes the probabilities of an ear's steps as they come, and says what was said.

    Step 0 is of the second that has its middle at the first sample, as `windows.blocks` begins a recording.
    """

    def __init__(self, labels: Sequence[str], keywords: Sequence[str], hop_s: float, settings: Spotting) -> None:
        self._columns = [labels.index(keyword) for keyword in keywords]
        self._keywords = list(keywords)
        self._hop_s = hop_s
        self._detector = Detector(settings.threshold, round(settings.refractory_ms / 1000 / hop_s))
        self._smoothing = Smoothing(len(keywords), round(settings.smoothing_ms / 1000 / hop_s))
        self._step = 0
        self.smoothed = np.empty((0, len(keywords)), np.float32)  # of the last call

    def push(self, values: NDArray[np.float32]) -> list[Detection]:
        """Return what the steps `values` [steps, labels] tell."""
        self.smoothed = self._smoothing.push(values[:, self._columns])
        found = []
        best = self.smoothed.argmax(axis=1)
        for at in self._detector.push(self.smoothed.max(axis=1, initial=0), best):
            time_s = (self._step + at - (self._smoothing.steps - 1) / 2) * self._hop_s
            probability = float(self.smoothed[at, best[at]])
            found.append(Detection(max(0.0, round(time_s, 3)), self._keywords[best[at]], probability))
        self._step += len(values)
        return found


class Detector:
    """Says at which steps a keyword is said, as `Spotting` tells; the same whatever the steps are cut into."""

    def __init__(self, threshold: float, rest_steps: int) -> None:
        self._threshold, self._rest_steps = threshold, max(1, rest_steps)
        self._rest = 0  # steps that are left of the time of rest
        self._said = NOTHING  # the keyword that was said since the best was last below the threshold

    def push(self, best: NDArray[np.float32], keyword: NDArray[np.int64]) -> list[int]:
        """Return the steps of detections, int [detections], of the best probability [steps] and its keyword [steps]."""
        found = []
        for at in np.flatnonzero(best >= self._threshold).tolist():
            if at and best[at - 1] < self._threshold:
                self._said = NOTHING
            if at >= self._rest and keyword[at] != self._said:
                found.append(at)
                self._rest, self._said = at + self._rest_steps, int(keyword[at])
        self._rest -= len(best)
        if len(best) and best[-1] < self._threshold:
            self._said = NOTHING
        return found
