"""Sound whose content is known: hours of background noise, and words laid into it at a given level above it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.clips.noise import Noise
from pipeline.clips.waveform import CLIP_SAMPLES, SAMPLE_RATE_HZ, as_int16
from pipeline.errors import PipelineError
from pipeline.examples.training_data import as_float

# Of the noise, RMS in dB of full scale. Of words that are louder by 20 dB, a seventh is clipped, in a few samples each.
LEVEL_DB = -40.0
SEGMENT_S = (1.5, 6.0)  # from one stretch of noise to the next
FADE_SAMPLES = SAMPLE_RATE_HZ // 10


@dataclass(frozen=True)
class Placed:
    """A word that was laid into a scene: the clip's label, and the seconds from and to which it lies there."""

    label: str
    start_s: float
    end_s: float


def usable_of(noises: Sequence[Noise]) -> list[NDArray[np.int16]]:
    """Return the recordings that last a second and are not silent."""
    return [noise.samples for noise in noises if len(noise.samples) >= CLIP_SAMPLES and noise.samples.any()]


def background(noises: Sequence[Noise], rng: np.random.Generator) -> Iterator[NDArray[np.float32]]:
    """Yield noise without end, float32 [samples] a time: stretches of `noises`, drawn, faded into each other.

    Each stretch has the level LEVEL_DB and lasts 1.5 to 6 s, or as long as its recording. Raises PipelineError if
    none lasts a second.
    """
    usable = usable_of(noises)
    if not usable:
        raise PipelineError("The corpus has no background noise that is held out from training, a second long or more.")
    rise = np.sin(np.linspace(0, np.pi / 2, FADE_SAMPLES, dtype=np.float32))  # equal power, as the stretches differ
    tail = np.zeros(FADE_SAMPLES, np.float32)
    while True:
        recording = usable[rng.integers(len(usable))]
        length = min(len(recording), round(rng.uniform(*SEGMENT_S) * SAMPLE_RATE_HZ))
        start = rng.integers(len(recording) - length + 1)
        stretch: NDArray[np.float32] = as_float(recording[start : start + length])
        stretch *= _gain(stretch, LEVEL_DB)
        stretch[:FADE_SAMPLES] = stretch[:FADE_SAMPLES] * rise + tail
        tail = stretch[-FADE_SAMPLES:] * rise[::-1]
        yield stretch[:-FADE_SAMPLES]


def noise_alone(noises: Sequence[Noise], hours: float, rng: np.random.Generator) -> Iterator[NDArray[np.int16]]:
    """Yield `hours` of background noise, int16 [samples] at 16 kHz a time."""
    left = round(hours * 3600 * SAMPLE_RATE_HZ)
    for stretch in background(noises, rng):
        yield as_int16(stretch[:left])
        left -= len(stretch)
        if left <= 0:
            return


def words_in_noise(
    clips: Iterator[tuple[NDArray[np.int16], str]],
    noises: Sequence[Noise],
    snr_db: float,
    gap_s: float,
    rng: np.random.Generator,
) -> Iterator[tuple[NDArray[np.int16], Placed]]:
    """Yield each clip [16000] with its label in `gap_s` of noise or up to twice as long: sound, and where the word is.

    The signal-to-noise ratio is that of the RMS of the whole clip to the noise's, as AddNoise has it in training.
    """
    noise = background(noises, rng)
    held = np.empty(0, np.float32)
    at = 0
    for clip, label in clips:
        length = CLIP_SAMPLES + round(gap_s * rng.uniform(1, 2) * SAMPLE_RATE_HZ)
        while len(held) < length:
            held = np.concatenate([held, next(noise)])
        sound, held = held[:length].copy(), held[length:]
        word: NDArray[np.float32] = as_float(clip)
        start = int(rng.integers(length - CLIP_SAMPLES + 1))
        sound[start : start + CLIP_SAMPLES] += word * _gain(word, LEVEL_DB + snr_db)
        from_s = (at + start) / SAMPLE_RATE_HZ
        yield as_int16(sound), Placed(label, from_s, from_s + CLIP_SAMPLES / SAMPLE_RATE_HZ)
        at += length


def _gain(samples: NDArray[np.float32], level_db: float) -> np.float32:
    rms = float(np.sqrt(np.mean(samples**2)))
    return np.float32(10 ** (level_db / 20) / rms if rms > 0 else 0.0)
