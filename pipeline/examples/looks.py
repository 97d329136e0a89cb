"""Test-time augmentation: a clip is judged by the mean of what a net makes of it, moved, louder or faster."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.clips.waveform import FULL_SCALE, SAMPLE_RATE_HZ
from pipeline.settings import Settings

MOST_RAISED = 10  # 20 dB: what is softer yet is hardly speech, and a silent second stays one


class Look(Settings):
    """One way to hear a clip: later by `shift_ms`, faster by `speed` about its middle, louder by `gain_db`.

    With `level_db`, it is brought to that level (root mean square, in decibels of full scale) before the gain; none is
    raised by more than 20 dB.
    """

    shift_ms: float = Field(0.0, ge=-500, le=500)
    level_db: float | None = Field(None, ge=-60, le=0)
    gain_db: float = Field(0.0, ge=-60, le=60)
    speed: float = Field(1.0, ge=0.5, le=2)

    @property
    def is_bare(self) -> bool:
        return self == Look()

    def at(self, samples: NDArray[Any]) -> NDArray[Any]:
        """Return int16 [clips, samples] as this look hears them; what is moved out is lost, zeros come in."""
        if self.is_bare:
            return samples
        length = samples.shape[1]
        middle = length / 2
        start = middle - self.shift_ms / 1000 * SAMPLE_RATE_HZ
        places = (np.arange(length) - middle) * self.speed + start
        before = np.floor(places).astype(np.int64)
        share = (places - before).astype(np.float32)
        padded = np.pad(samples, ((0, 0), (1, 1))).astype(np.float32)
        heard = padded[:, np.clip(before + 1, 0, length + 1)] * (1 - share)
        heard += padded[:, np.clip(before + 2, 0, length + 1)] * share
        if self.level_db is not None:
            level = np.sqrt(np.square(heard).mean(axis=1))
            wanted = FULL_SCALE * 10 ** (self.level_db / 20)
            heard *= (wanted / np.maximum(level, wanted / MOST_RAISED))[:, None]
        heard *= 10 ** (self.gain_db / 20)
        return np.clip(np.rint(heard), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
