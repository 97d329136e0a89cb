"""Background recordings, cut so that the noise which judges a model never trains it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.clips.waveform import CLIP_SAMPLES, SAMPLE_RATE_HZ

NoiseSplit = Literal["train", "validation"]

TRAIN_SHARE = 0.8
# Noise stays alike over some tenths of a second; the gap keeps the two stretches from sharing a sound.
GAP_SAMPLES = SAMPLE_RATE_HZ // 4
# The shortest recording that is cut: a second and a quarter to train, the gap, a second to validate.
SHORTEST_CUT_SAMPLES = 5 * SAMPLE_RATE_HZ // 2


@dataclass(frozen=True)
class Noise:
    """A stretch of a background recording: int16 [samples], 16 kHz mono."""

    name: str
    samples: np.ndarray


def cut(noise: Noise, position: int) -> list[tuple[NoiseSplit, Noise]]:
    """Return the stretches of a recording with the split that each belongs to; they share no sample.

    The first 80 % train; after a gap of 0.25 s the end validates, and is a second long at least. A recording shorter
    than 2.5 s stays whole: by its `position` among such recordings they go to train and validation in turn.
    """
    length = len(noise.samples)
    if length < SHORTEST_CUT_SAMPLES:
        return [("train" if position % 2 == 0 else "validation", noise)]
    validation_samples = max(CLIP_SAMPLES, round((1 - TRAIN_SHARE) * length) - GAP_SAMPLES)
    start = length - validation_samples
    return [
        ("train", Noise(noise.name, noise.samples[: start - GAP_SAMPLES])),
        ("validation", Noise(noise.name, noise.samples[start:])),
    ]
