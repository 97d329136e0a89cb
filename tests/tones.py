"""Clips that a small net learns in seconds: low tones, high tones and noise."""

import numpy as np

from pipeline.learners.classifier import Examples, Lesson

LABELS = ["low", "high", "noise"]


def sounds(clips: int, seed: int) -> Examples:
    """Low tones, high tones and noise, in turn."""
    rng = np.random.default_rng(seed)
    targets = np.arange(clips) % 3
    hertz = np.where(targets == 0, rng.uniform(200, 400, clips), rng.uniform(2000, 3000, clips))
    waveforms = np.sin(2 * np.pi * hertz[:, None] * np.arange(16_000) / 16_000)
    waveforms[targets == 2] = rng.uniform(-1, 1, (np.sum(targets == 2), 16_000))
    samples = (waveforms * 8000).astype(np.int16)
    return Examples(read=lambda rows: samples[rows], rows=np.arange(clips), targets=targets)


TRAIN, VALIDATION = sounds(48, seed=1), sounds(30, seed=2)
LESSON = Lesson(
    TRAIN,
    VALIDATION,
    draw=lambda epoch: np.arange(48),
    augment=lambda samples, generators: samples.astype(np.float32) / 32_768,
    seed=3,
)
