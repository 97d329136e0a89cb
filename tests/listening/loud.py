"""An ear and a classifier for tests: they hear a tone in the middle of a second, and tell a low from a high one."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16_000
LABELS = ["low", "high", "silence"]
HERTZ = {"low": 500, "high": 2_000}


class Loud:
    """Which tone is loud in the middle fifth of a second; the classifier's shape."""

    labels = LABELS
    multi_label = False

    def predict_proba(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        middle = np.asarray(inputs, np.float32)[:, 6_400:9_600]
        power = np.abs(np.fft.rfft(middle)) ** 2
        bins = [HERTZ[label] * 3_200 // RATE_HZ for label in ("low", "high")]
        near = np.stack([power[:, one - 3 : one + 4].sum(axis=1) for one in bins], axis=1)
        share = near / np.maximum(power.sum(axis=1, keepdims=True), 1e9)
        return np.concatenate([share, 1 - share.sum(axis=1, keepdims=True)], axis=1).astype(np.float32)


def tones(placed: dict[float, str], seconds: float, rate_hz: int = RATE_HZ) -> NDArray[np.float64]:
    """Return `seconds` of quiet noise in -1..1 with a tone of 0.5 s at each time of `placed`."""
    sound = np.random.default_rng(0).normal(0, 0.001, round(seconds * rate_hz))
    wave = np.arange(rate_hz // 2) / rate_hz
    for start_s, label in placed.items():
        at = round(start_s * rate_hz)
        sound[at : at + len(wave)] += 0.3 * np.sin(2 * np.pi * HERTZ[label] * wave)
    return sound
