"""Our own transforms, in the shape of audiomentations': each class here can be named in `augmentation`."""

import random
from collections.abc import Sequence

import numpy as np
from audiomentations.core.transforms_interface import BaseWaveformTransform
from numpy.typing import NDArray

from pipeline.clips.waveform import CLIP_SAMPLES

SLOWEST, FASTEST = 0.5, 2.0


class Speed(BaseWaveformTransform):
    """Play a clip faster or slower (pitch moves along), about its middle; the length stays.

    Raises ValueError for speeds outside of 0.5 to 2, or in the wrong order.
    """

    def __init__(self, min_speed: float = 0.9, max_speed: float = 1.1, p: float = 0.5) -> None:
        super().__init__(p)
        if not SLOWEST <= min_speed <= max_speed <= FASTEST:
            raise ValueError(f"{SLOWEST} <= min_speed <= max_speed <= {FASTEST} does not hold")
        self.min_speed = min_speed
        self.max_speed = max_speed

    def randomize_parameters(self, samples: NDArray[np.float32], sample_rate: int) -> None:
        super().randomize_parameters(samples, sample_rate)
        if self.parameters["should_apply"]:
            self.parameters["speed"] = random.uniform(self.min_speed, self.max_speed)

    def apply(self, samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
        middle = len(samples) / 2
        places = np.arange(len(samples), dtype=np.float64)
        at = (places - middle) * self.parameters["speed"] + middle
        # Linear interpolation: the aliasing it leaves at these ratios lies far under the noise added later.
        return np.interp(at, places, samples, left=0, right=0).astype(np.float32)


class AddNoise(BaseWaveformTransform):
    """Add a random stretch of a background recording at a random signal-to-noise ratio.

    audiomentations' AddBackgroundNoise reads files; here the recordings are already in memory, and only their training
    stretches are given: int16 [samples] each. Those shorter than a second are not used.
    Raises ValueError for ratios in the wrong order.
    """

    def __init__(
        self,
        noises: Sequence[NDArray[np.int16]],
        min_snr_db: float = -5.0,
        max_snr_db: float = 30.0,
        p: float = 0.5,
    ) -> None:
        super().__init__(p)
        if min_snr_db > max_snr_db:
            raise ValueError("min_snr_db <= max_snr_db does not hold")
        self.noises = [noise for noise in noises if len(noise) >= CLIP_SAMPLES]
        self.min_snr_db = min_snr_db
        self.max_snr_db = max_snr_db

    def randomize_parameters(self, samples: NDArray[np.float32], sample_rate: int) -> None:
        super().randomize_parameters(samples, sample_rate)
        if self.parameters["should_apply"] and self.noises:
            self.parameters["noise"] = random.randrange(len(self.noises))
            spare = len(self.noises[self.parameters["noise"]]) - len(samples)
            self.parameters["start"] = random.randint(0, max(0, spare))
            self.parameters["snr_db"] = random.uniform(self.min_snr_db, self.max_snr_db)

    def apply(self, samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
        if not self.noises:
            return samples
        start = self.parameters["start"]
        recording = self.noises[self.parameters["noise"]]
        stretch = recording[start : start + len(samples)]
        if len(stretch) < len(samples):
            # A transform before this one has made the clip longer than the recording: it goes round.
            stretch = np.take(recording, np.arange(start, start + len(samples)), mode="wrap")
        noise: NDArray[np.float32] = stretch.astype(np.float32) / np.float32(32768)
        signal_rms = float(np.sqrt(np.mean(samples**2)))
        noise_rms = float(np.sqrt(np.mean(noise**2)))
        if signal_rms == 0 or noise_rms == 0:  # digital silence stays what it is: there is no ratio to it
            return samples
        return samples + noise * np.float32(signal_rms / noise_rms * 10 ** (-self.parameters["snr_db"] / 20))
