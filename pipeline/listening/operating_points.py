"""How often a word is found, and how often one is heard where there is none: the curve by which spotters are judged.

The threshold is the free choice: each gives a detection rate and a number of false alarms an hour. The field draws the
one over the other and states the rate at a few alarms an hour (Sainath & Parada 2015, section 5).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline import metrics
from pipeline.listening.scenes import Placed
from pipeline.listening.spotting import Detector, Smoothing, Spotting

THRESHOLDS = np.concatenate([np.linspace(0.05, 0.95, 91), 1 - np.geomspace(0.04, 1e-5, 40)]).round(6)
EARLY_S, LATE_S = 0.25, 0.25  # a detection so long before the clip or after it still counts as of it
ROUNDING = 1e-9  # an hour is a sum of steps


@dataclass
class Heard:
    """The keywords' smoothed probabilities of all steps of a scene, as they come."""

    keywords: Sequence[str]
    hop_s: float
    settings: Spotting
    _parts: list[NDArray[np.float32]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._smoothing = Smoothing(len(self.keywords), round(self.settings.smoothing_ms / 1000 / self.hop_s))

    def push(self, values: NDArray[np.float32]) -> None:
        """Take the probabilities [steps, keywords] of the next steps."""
        smoothed = self._smoothing.push(values)
        best = smoothed.argmax(axis=1)
        self._parts.append(np.stack([smoothed.max(axis=1, initial=0), best.astype(np.float32)], axis=1))

    @property
    def steps(self) -> int:
        return sum(map(len, self._parts))

    def detections(self, threshold: float) -> list[tuple[float, str]]:
        """Return when and what: as a `Spotter` with this threshold says it."""
        best = np.concatenate(self._parts) if self._parts else np.empty((0, 2), np.float32)
        rest = round(self.settings.refractory_ms / 1000 / self.hop_s)
        delay = (self._smoothing.steps - 1) / 2
        return [
            (max(0.0, (step - delay) * self.hop_s), self.keywords[int(best[step, 1])])
            for step in Detector(threshold, rest).push(best[:, 0], best[:, 1].astype(np.int64))
        ]


@dataclass(frozen=True)
class Point:
    """What one threshold gives: false alarms an hour of noise, the share of words found, and its 95 % interval."""

    threshold: float
    alarms_per_hour: float
    detection_rate: float
    low: float
    high: float


@dataclass(frozen=True)
class Figure:
    """The detection rate at a given number of false alarms an hour, with its 95 % interval."""

    alarms_per_hour: float
    threshold: float
    detection_rate: float
    low: float
    high: float


def curve(noise: Heard, words: Heard, placed: Sequence[Placed], speakers: Sequence[str]) -> list[Point]:
    """Return a point for each threshold; `placed` are the words of the scene `words`, all of them keywords.

    `speakers` [words] are who spoke them: one's words are alike, and the intervals know it.
    """
    hours = noise.steps * noise.hop_s / 3600
    truth, prior = np.ones(len(placed), int), np.array([0.0, 1.0])
    points = []
    for threshold in THRESHOLDS:
        alarms = len(noise.detections(threshold)) / hours
        is_found = found(words.detections(threshold), placed)
        rate = float(np.mean(is_found))
        sure = metrics.clustered_clips(truth, is_found.astype(int), speakers, 2, prior)
        points.append(Point(float(threshold), alarms, rate, *metrics.wilson(rate, sure)))
    return points


def found(detections: Sequence[tuple[float, str]], placed: Sequence[Placed]) -> NDArray[np.bool_]:
    """Return of each word whether there is a detection of its label at its place."""
    times = np.array([time for time, _ in detections])
    labels = [label for _, label in detections]
    spans = [np.searchsorted(times, [word.start_s - EARLY_S, word.end_s + LATE_S]) for word in placed]
    return np.array([word.label in labels[a:b] for word, (a, b) in zip(placed, spans, strict=True)], bool)


def at_alarms(points: Sequence[Point], alarms_per_hour: float) -> Figure:
    """Return what the lowest threshold gives from which on there are no more false alarms than `alarms_per_hour`.

    Where the highest still gives more, nothing may be detected: a threshold of 1 and a rate of 0, which is sure.
    """
    chosen = Point(1.0, 0.0, 0.0, 0.0, 0.0)
    for point in reversed(points):
        if point.alarms_per_hour > alarms_per_hour * (1 + ROUNDING):
            break
        chosen = point
    return Figure(alarms_per_hour, chosen.threshold, chosen.detection_rate, chosen.low, chosen.high)
