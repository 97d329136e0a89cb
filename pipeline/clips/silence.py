"""Clips without a word, made from background noise: at any volume, down to digital silence, as the test set's are."""

from collections.abc import Iterator
from typing import Annotated, Self

import numpy as np
from pydantic import Field, model_validator

from pipeline.clips.noise import MIXED, Noise
from pipeline.clips.waveform import CLIP_SAMPLES, FULL_SCALE, as_int16
from pipeline.settings import Settings, Share

Amount = Annotated[float, Field(ge=0, le=100)]


class Silence(Settings):
    """How much silence, and of what kind.

    `train` and `validation` are relative to the mean size of a command class in that split; with folds, `train` is
    what each fold gets, relative to its own. `digital_share` of the
    clips are zeros; of the others `mixture_share` are two noises at once. Each noise is brought to a level (RMS, in dB
    of full scale) drawn evenly from the range. Not to a gain: the archive's recordings are about -48 dB, while silence
    in the part of the test set that we have has its middle at -32 dB and nine tenths between -68 and -11 dB.

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

    Everything is drawn from `generator`. Raises ValueError if `noises` is empty.
    """
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
            own_db = 20 * np.log10(max(np.sqrt(np.mean(second**2)), 1 / FULL_SCALE))
            gain = np.float32(10 ** (float(level_db - own_db) / 20))
            mixed += np.clip(second * gain, -1, 1)
        yield as_int16(mixed), MIXED.join(noise.name for noise in chosen)


def _second_of(noise: Noise, generator: np.random.Generator) -> np.ndarray:
    """Return float32 [16000] in -1..1 from a drawn place; a shorter stretch goes round until it fills the second."""
    if len(noise.samples) < CLIP_SAMPLES:
        start = generator.integers(len(noise.samples))
        samples = np.take(noise.samples, np.arange(start, start + CLIP_SAMPLES), mode="wrap")
    else:
        start = generator.integers(len(noise.samples) - CLIP_SAMPLES + 1)
        samples = noise.samples[start : start + CLIP_SAMPLES]
    return samples.astype(np.float32) / FULL_SCALE
