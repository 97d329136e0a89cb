"""Clips without a word, made from background noise: at any volume, down to digital silence, as the test set's are."""

from collections.abc import Iterator
from typing import Annotated, Self

import numpy as np
from pydantic import Field, model_validator

from pipeline.clips.noise import MIXED, Noise
from pipeline.clips.waveform import CLIP_SAMPLES, SAMPLE_RATE_HZ
from pipeline.settings import Settings

Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0, le=100)]

_FULL_SCALE = 32768


class Silence(Settings):
    """How much silence, and of what kind.

    `train` and `validation` are relative to the mean size of a command class in that split; with folds, `train` is
    what each fold gets, relative to its own. `digital_share` of the
    clips are zeros; of the others `mixture_share` are two noises at once. Each noise is brought to a level (RMS, in dB
    of full scale) drawn evenly from the range. Not to a gain: the archive's recordings are about -48 dB, while the
    silence of the mini-competition's test set has its middle at -32 dB and nine tenths between -68 and -11 dB.

    A recording of noise is cut into a stretch for each fold, so that judging nets have heard its like. With
    `whole_recordings` each recording belongs to one fold: recall of silence is then that of noises never heard.
    """

    train: Amount = 1.0
    validation: Amount = 1.0
    digital_share: Share = 0.05
    mixture_share: Share = 0.3
    min_level_db: Annotated[float, Field(ge=-200)] = -65.0
    max_level_db: Annotated[float, Field(le=0)] = -10.0
    whole_recordings: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_level_db > self.max_level_db:
            raise ValueError("min_level_db must not be above max_level_db")
        return self


def make(
    noises: list[Noise], count: int, settings: Silence, generator: np.random.Generator
) -> Iterator[tuple[np.ndarray, str]]:
    """Yield `count` clips, int16 [16000], each with the name of what it is made of ("digital" for zeros).

    Everything is drawn from `generator`; audiomentations, which would draw from the global `random`, is given ranges
    of a single value. Raises ValueError if `noises` is empty.
    """
    # Here, since it takes a second to load, for which what only reads the settings should not wait.
    from audiomentations import Clip, Compose, Gain

    if not noises:
        raise ValueError("no noise to make silence from")
    for _ in range(count):
        if generator.random() < settings.digital_share:
            yield np.zeros(CLIP_SAMPLES, np.int16), "digital"
            continue
        mixes = len(noises) > 1 and generator.random() < settings.mixture_share
        chosen = [noises[index] for index in generator.choice(len(noises), 2 if mixes else 1, replace=False)]
        mixed = np.zeros(CLIP_SAMPLES, np.float32)
        for noise in chosen:
            level_db = generator.uniform(settings.min_level_db, settings.max_level_db)
            second = _second_of(noise, generator)
            own_db = 20 * np.log10(max(np.sqrt(np.mean(second**2)), 1 / _FULL_SCALE))
            gain_db = float(level_db - own_db)  # a NumPy scalar would turn the samples into float64
            change = Compose([Gain(gain_db, gain_db, p=1.0), Clip(-1.0, 1.0, p=1.0)])
            mixed += change(second, SAMPLE_RATE_HZ)
        samples = np.clip(np.rint(mixed * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1)
        yield samples.astype(np.int16), MIXED.join(noise.name for noise in chosen)


def _second_of(noise: Noise, generator: np.random.Generator) -> np.ndarray:
    """Return float32 [16000] in -1..1 from a drawn place; a shorter stretch goes round until it fills the second."""
    if len(noise.samples) < CLIP_SAMPLES:
        start = generator.integers(len(noise.samples))
        samples = np.take(noise.samples, np.arange(start, start + CLIP_SAMPLES), mode="wrap")
    else:
        start = generator.integers(len(noise.samples) - CLIP_SAMPLES + 1)
        samples = noise.samples[start : start + CLIP_SAMPLES]
    return samples.astype(np.float32) / _FULL_SCALE
