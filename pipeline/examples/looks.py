"""Test-time augmentation: a clip is judged by the mean of what a net makes of it, moved, louder or faster."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from pipeline.clips.waveform import SAMPLE_RATE_HZ
from pipeline.features.level import levelled
from pipeline.settings import Settings

FULL_SCALE = np.float32(32_768)


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
            heard = levelled(torch.from_numpy(heard / FULL_SCALE), self.level_db).numpy() * FULL_SCALE
        heard *= 10 ** (self.gain_db / 20)
        return np.clip(np.rint(heard), -32768, 32767).astype(np.int16)


def level_of(looks: Sequence[Look]) -> float | None:
    """Return the level that all of `looks` bring a clip to, None if there is none."""
    levels = {look.level_db for look in looks}
    return levels.pop() if len(levels) == 1 else None
