"""How long one clip takes through an exported net, and what the competition's prize for small devices allowed."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.clips.waveform import CLIP_SAMPLES
from pipeline.export.description import INPUT

WARM_UP, CLIPS = 20, 300
# "Special prize" of the TensorFlow Speech Recognition Challenge: on a Raspberry Pi 3.
PRIZE_BYTES, PRIZE_MS = 5_000_000, 200.0


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one thread that a clip takes: the median, and what all but one in a hundred stay below.

    Of processor time, which is what the clock shows on a machine that does nothing else.
    """

    median_ms: float
    p99_ms: float


def latency(session: Any) -> Latency:
    """Return how long a session takes for one clip at a time; it must have one thread. Noise is as slow as speech."""
    clip = np.random.default_rng(0).uniform(-0.1, 0.1, (1, CLIP_SAMPLES)).astype(np.float32)
    return timed(lambda: session.run(None, {INPUT: clip}))


def timed(work: Callable[[], object], times: int = CLIPS) -> Latency:
    """Return how long a call takes that does all of its work in this thread."""
    taken_ms = []
    for number in range(WARM_UP + times):
        start = time.thread_time()
        work()
        if number >= WARM_UP:
            taken_ms.append(1000 * (time.thread_time() - start))
    median, p99 = np.percentile(taken_ms, [50, 99])
    return Latency(round(float(median), 3), round(float(p99), 3))
