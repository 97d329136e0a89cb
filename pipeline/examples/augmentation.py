"""On-the-fly augmentation of training clips with audiomentations, deterministic from a Generator."""

import random
from typing import Annotated

import numpy as np
from audiomentations import Compose, Gain, Shift
from audiomentations.core.transforms_interface import BaseWaveformTransform
from numpy.typing import NDArray
from pydantic import Field, model_validator

from pipeline.clips.waveform import CLIP_SAMPLES, SAMPLE_RATE_HZ
from pipeline.settings import Settings

Share = Annotated[float, Field(ge=0, le=1)]


class Augmentation(Settings):
    """What is done to each training clip, each time it is drawn; a share of 0 switches a transform off."""

    shift_ms: float = Field(100.0, ge=0, le=500)
    shift_share: Share = 0.8
    min_gain_db: float = Field(-12.0, ge=-60)
    max_gain_db: float = Field(6.0, le=40)
    gain_share: Share = 0.5
    min_snr_db: float = -5.0
    max_snr_db: float = 30.0
    noise_share: Share = 0.7
    min_speed: float = Field(0.9, ge=0.5)
    max_speed: float = Field(1.1, le=2.0)
    speed_share: Share = 0.5

    @model_validator(mode="after")
    def _ranges(self) -> "Augmentation":
        for low, high in (
            ("min_gain_db", "max_gain_db"),
            ("min_snr_db", "max_snr_db"),
            ("min_speed", "max_speed"),
        ):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(f"{low} ({getattr(self, low)}) is above {high} ({getattr(self, high)})")
        return self


class Speed(BaseWaveformTransform):
    """Play a clip faster or slower (pitch moves along), about its middle; the length stays."""

    def __init__(self, min_speed: float, max_speed: float, p: float) -> None:
        super().__init__(p)
        self.min_speed = min_speed
        self.max_speed = max_speed

    def randomize_parameters(self, samples: NDArray[np.float32], sample_rate: int) -> None:
        super().randomize_parameters(samples, sample_rate)
        if self.parameters["should_apply"]:
            self.parameters["speed"] = random.uniform(self.min_speed, self.max_speed)

    def apply(self, samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
        middle = len(samples) / 2
        at = (np.arange(len(samples)) - middle) * self.parameters["speed"] + middle
        # Linear interpolation: the aliasing it leaves at these ratios lies far under the noise added later.
        return np.interp(at, np.arange(len(samples)), samples, left=0, right=0).astype(np.float32)


class AddNoise(BaseWaveformTransform):
    """Add a random stretch of a background recording at a random signal-to-noise ratio.

    audiomentations' AddBackgroundNoise reads files; here the recordings are already in memory, and only their training
    stretches are given.
    """

    def __init__(self, noises: list[NDArray[np.int16]], min_snr_db: float, max_snr_db: float, p: float) -> None:
        super().__init__(p)
        self.noises = [noise for noise in noises if len(noise) >= CLIP_SAMPLES]
        self.min_snr_db = min_snr_db
        self.max_snr_db = max_snr_db

    def randomize_parameters(self, samples: NDArray[np.float32], sample_rate: int) -> None:
        super().randomize_parameters(samples, sample_rate)
        if self.parameters["should_apply"] and self.noises:
            self.parameters["noise"] = random.randrange(len(self.noises))
            self.parameters["start"] = random.randint(0, len(self.noises[self.parameters["noise"]]) - len(samples))
            self.parameters["snr_db"] = random.uniform(self.min_snr_db, self.max_snr_db)

    def apply(self, samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
        if not self.noises:
            return samples
        start = self.parameters["start"]
        noise = self.noises[self.parameters["noise"]][start : start + len(samples)].astype(np.float32) / 32768
        signal_rms = float(np.sqrt(np.mean(samples**2)))
        noise_rms = float(np.sqrt(np.mean(noise**2)))
        if signal_rms == 0 or noise_rms == 0:  # digital silence stays what it is: there is no ratio to it
            return samples
        return samples + noise * np.float32(signal_rms / noise_rms * 10 ** (-self.parameters["snr_db"] / 20))


class Augmenter:
    """Augments batches: int16 [clips, samples] -> float32 [clips, samples] in -1..1.

    audiomentations draws from Python's global `random`. Each clip's draw is seeded from the Generator given, and the
    global state is put back, so the result depends on nothing else.
    """

    def __init__(self, params: Augmentation, noises: list[NDArray[np.int16]]) -> None:
        shift = params.shift_ms / 1000
        self._transforms = Compose(
            [
                Speed(params.min_speed, params.max_speed, p=params.speed_share),
                Shift(-shift, shift, shift_unit="seconds", rollover=False, p=params.shift_share),
                AddNoise(noises, params.min_snr_db, params.max_snr_db, p=params.noise_share),
                Gain(params.min_gain_db, params.max_gain_db, p=params.gain_share),
            ]
        )

    def __call__(self, samples: NDArray[np.int16], generators: list[np.random.Generator]) -> NDArray[np.float32]:
        """Augment each clip with the draw of its own generator."""
        out = np.empty(samples.shape, np.float32)
        state = random.getstate()
        try:
            for row, (clip, generator) in enumerate(zip(samples, generators, strict=True)):
                random.seed(int(generator.integers(2**63)))
                out[row] = self._transforms(clip.astype(np.float32) / 32768, SAMPLE_RATE_HZ)
        finally:
            random.setstate(state)
        # int16 recordings cannot exceed full scale, so neither may these.
        return np.clip(out, -1, 1, out=out)
