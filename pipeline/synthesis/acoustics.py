"""From a clean word to a recording: a room, a microphone, noise, a level, a place in the second.

`draw` decides everything random, `record` carries it out, for a whole batch at a time: resampling, room and microphone
are one product of spectra.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from scipy import fft

from pipeline.clips.waveform import CLIP_SAMPLES, SAMPLE_RATE_HZ
from pipeline.synthesis.espeak import SAMPLE_RATE_HZ as SPOKEN_RATE_HZ

# A word, its pauses and the room's tail fit into a second and a half; the sizes have small prime factors at both rates.
_WINDOW_S = 1.5
_SPOKEN_WINDOW = ceil(_WINDOW_S * SPOKEN_RATE_HZ)
_WINDOW = int(_WINDOW_S * SAMPLE_RATE_HZ)
_TAIL_S = 0.3
# Levels of the competition's "yes" clips: shares of the clips, RMS of full scale. The ends are guessed.
_SHARES = (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)
_RMS = (0.008, 0.016, 0.035, 0.060, 0.085, 0.133, 0.25)
_BANDS_HZ = np.array([60, 150, 350, 700, 1_400, 2_800, 5_000, 8_000])


@dataclass(frozen=True)
class Scene:
    """Where clips are recorded: bounds of the random draws.

    `snr_db`: the word over the noise. `room_db`: the tail's energy over the direct sound's. `shorter_share`: how many
    clips end before the second is over, as about one in ten of the competition's training clips does.
    """

    snr_db: tuple[float, float]
    room_db: tuple[float, float]
    shorter_share: float


TRAINING = Scene(snr_db=(12, 50), room_db=(-30, -6), shorter_share=0.1)
TEST = Scene(snr_db=(8, 40), room_db=(-30, -4), shorter_share=0.0)


@dataclass(frozen=True)
class Conditions:
    """What happens to each clip of a batch; every array has one row a clip."""

    tail: np.ndarray  # [clips, tail samples] at SPOKEN_RATE_HZ: the room's answer after the direct sound
    band_gains_db: np.ndarray  # [clips, bands of _BANDS_HZ]
    high_pass_hz: np.ndarray
    low_pass_hz: np.ndarray
    noise: np.ndarray  # [clips, CLIP_SAMPLES], RMS 1
    snr_db: np.ndarray
    rms: np.ndarray  # of the finished clip; full scale is 1
    drive: np.ndarray  # 0: a clean amplifier
    place: np.ndarray  # 0: the word starts with the clip; 1: it ends with it
    seconds: np.ndarray  # the clip's length, unless the word is longer


def draw(
    clips: int, scene: Scene, noise: Callable[[int, np.random.Generator], np.ndarray], rng: np.random.Generator
) -> Conditions:
    """Draw the conditions of `clips` recordings; `noise(clips, rng)` returns float [clips, CLIP_SAMPLES]."""
    times_s = np.arange(1, int(_TAIL_S * SPOKEN_RATE_HZ)) / SPOKEN_RATE_HZ
    decay_s = rng.uniform(0.01, 0.07, size=(clips, 1))
    tail = rng.standard_normal((clips, len(times_s)), dtype=np.float32) * np.exp(-times_s / decay_s)
    room_db = rng.uniform(*scene.room_db, size=(clips, 1))
    tail *= 10 ** (room_db / 20) / np.linalg.norm(tail, axis=1, keepdims=True)
    shorter = rng.random(clips) < scene.shorter_share
    return Conditions(
        tail=tail.astype(np.float32),
        band_gains_db=rng.normal(0, 3, size=(clips, len(_BANDS_HZ))),
        high_pass_hz=rng.uniform(20, 160, size=clips),
        low_pass_hz=rng.uniform(4_000, 8_000, size=clips),
        noise=_unit_rms(noise(clips, rng)),
        snr_db=rng.uniform(*scene.snr_db, size=clips),
        rms=np.interp(rng.random(clips), _SHARES, _RMS),
        drive=np.where(rng.random(clips) < 0.1, rng.uniform(1, 4, size=clips), 0),
        place=rng.beta(2, 2, size=clips),
        seconds=np.where(shorter, rng.uniform(0.4, 0.98, size=clips), 1),
    )


def record(words: Sequence[np.ndarray], conditions: Conditions) -> list[np.ndarray]:
    """Return one int16 clip a word, at most CLIP_SAMPLES at SAMPLE_RATE_HZ, as `conditions` say.

    `words` are int16 at SPOKEN_RATE_HZ. What doesn't fit the window or the second is cut.
    """
    window = np.zeros((len(words), _SPOKEN_WINDOW), dtype=np.float32)
    for row, word in zip(window, words, strict=True):
        row[: len(word)] = word[:_SPOKEN_WINDOW]
    bins = _WINDOW // 2 + 1  # Dropping the bins above 8 kHz resamples.
    spectrum = fft.rfft(window)[:, :bins]
    spectrum *= 1 + fft.rfft(conditions.tail, n=_SPOKEN_WINDOW)[:, :bins]
    spectrum *= _microphone(conditions, bins)
    heard = fft.irfft(spectrum, n=_WINDOW)  # [clips, _WINDOW]
    return [_finish(heard[row], conditions, row) for row in range(len(words))]


def coloured_noise(slopes: np.ndarray, samples: int, rng: np.random.Generator) -> np.ndarray:
    """Return float32 noise [clips, samples] of RMS 1 whose power falls as 1/f^slope: 0 white, 1 pink, 2 brown."""
    bins = samples // 2 + 1
    spectrum = rng.standard_normal((len(slopes), bins, 2), dtype=np.float32).view(np.complex64)[..., 0]
    # Flat below 20 Hz, or brown noise would be all rumble.
    frequencies_hz = np.maximum(np.arange(bins) * SAMPLE_RATE_HZ / samples, 20).astype(np.float32)
    spectrum *= np.exp(np.log(frequencies_hz) * (-np.asarray(slopes, np.float32)[:, None] / 2))
    spectrum[:, 0] = 0
    return _unit_rms(fft.irfft(spectrum, n=samples))


def resampled(spoken: np.ndarray) -> np.ndarray:
    """Return speech at SPOKEN_RATE_HZ, int16, as float32 at SAMPLE_RATE_HZ of RMS 1."""
    from scipy import signal  # here, since it takes a second that what only reads settings should not wait for

    return _unit_rms(signal.resample_poly(spoken.astype(np.float32), 320, 441)[None])[0]


def quantised(waveform: np.ndarray) -> np.ndarray:
    """Return a waveform of full scale 1 as int16; what is louder is clipped."""
    return np.round(np.clip(waveform, -1, 1) * 32_767).astype(np.int16)


def _microphone(conditions: Conditions, bins: int) -> np.ndarray:
    frequencies_hz = np.arange(bins, dtype=np.float32) / _WINDOW_S
    frequencies_hz[0] = frequencies_hz[1]
    # Rows of the identity, interpolated over log frequency: gains @ weights is each clip's curve.
    weights = np.stack([np.interp(np.log(frequencies_hz), np.log(_BANDS_HZ), row) for row in np.eye(len(_BANDS_HZ))])
    curve_db = conditions.band_gains_db.astype(np.float32) @ weights.astype(np.float32)
    # Second-order high-pass, fourth-order low-pass (Butterworth magnitudes).
    curve_db -= 10 * np.log10(1 + (conditions.high_pass_hz[:, None] / frequencies_hz) ** 4)
    curve_db -= 10 * np.log10(1 + (frequencies_hz / conditions.low_pass_hz[:, None]) ** 8)
    return (10 ** (curve_db / 20)).astype(np.float32)


def _finish(heard: np.ndarray, conditions: Conditions, row: int) -> np.ndarray:
    loud = np.flatnonzero(np.abs(heard) > 0.02 * np.abs(heard).max())
    first, last = loud[0], loud[-1] + 1
    length = min(CLIP_SAMPLES, max(int(conditions.seconds[row] * SAMPLE_RATE_HZ), last - first))
    word_rms = np.sqrt(np.mean(heard[first:last] ** 2))
    clip = conditions.noise[row, :length] * (word_rms * 10 ** (-conditions.snr_db[row] / 20))
    start = int(conditions.place[row] * (length - (last - first))) if last - first <= length else 0
    end = min(length, start + len(heard) - first)  # The tail rings on after the word where there is room.
    clip[start:end] += heard[first : first + end - start]
    clip *= conditions.rms[row] / np.sqrt(np.mean(clip**2))
    if conditions.drive[row] > 0:
        gain = conditions.drive[row] / np.abs(clip).max()
        clip = np.tanh(clip * gain) / gain
    return quantised(clip)


def _unit_rms(waveforms: np.ndarray) -> np.ndarray:
    return waveforms / np.maximum(np.sqrt(np.mean(waveforms**2, axis=-1, keepdims=True)), 1e-9)
