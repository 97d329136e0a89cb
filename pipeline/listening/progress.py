"""How much of a sound has been heard, as a bar on stderr."""

import sys

from tqdm import tqdm

from pipeline.clips.waveform import SAMPLE_RATE_HZ


class Seconds(tqdm):
    """A bar of seconds that counts samples: rounded one by one, blocks of half a second would add up to nothing."""

    def __init__(self, total_s: float, what: str) -> None:
        super().__init__(total=round(total_s), desc=what, unit=" s", file=sys.stderr)
        self._samples = 0

    def hear(self, samples: int) -> None:
        """Count further samples at 16 kHz; those after the last second count no more."""
        self._samples += samples
        self.update(min(self.total, round(self._samples / SAMPLE_RATE_HZ)) - self.n)
