"""Background recordings under the names of the competition's six, and stretches of them.

Each is plausible, none is real: water and fans are filtered noise, dishes ring, the man who miaows is espeak-ng
saying "miaow" over babble.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from pipeline.clips.waveform import CLIP_SAMPLES, FULL_SCALE, SAMPLE_RATE_HZ
from pipeline.synthesis.acoustics import coloured_noise, quantised, resampled
from pipeline.synthesis.espeak import Utterance
from pipeline.synthesis.voices import draw_voices

_BABBLE_VOICES = 6
_BABBLE_WORDS = ("garden", "water", "music", "window", "paper", "summer", "yellow", "table", "many", "people")


def script(rng: np.random.Generator) -> list[Utterance]:
    """Return what has to be spoken for `record_backgrounds`, by voices that say nothing else in the competition."""
    miaower, *crowd = draw_voices(1 + _BABBLE_VOICES, rng)
    # Miaows are drawn out.
    miaows = [replace(miaower.say("meow", rng), words_per_minute=int(rng.integers(80, 120))) for _ in range(8)]
    return miaows + [voice.say(" ".join(rng.permutation(_BABBLE_WORDS)), rng) for voice in crowd]


def record_backgrounds(spoken: Sequence[np.ndarray], seconds: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return six int16 recordings [seconds * 16,000] by file name; `spoken` is `script` as espeak-ng spoke it."""
    samples = seconds * SAMPLE_RATE_HZ
    voices = [resampled(voice) for voice in spoken]
    miaows, crowd = voices[:-_BABBLE_VOICES], voices[-_BABBLE_VOICES:]
    makers: dict[str, tuple[float, Callable[[], np.ndarray]]] = {  # RMS of full scale, sound
        "doing_the_dishes.wav": (0.05, lambda: _dishes(samples, rng)),
        "dude_miaowing.wav": (0.05, lambda: _miaowing(miaows, crowd, samples, rng)),
        "exercise_bike.wav": (0.07, lambda: _bike(samples, rng)),
        "pink_noise.wav": (0.1, lambda: _coloured(1, samples, rng)),
        "running_tap.wav": (0.06, lambda: _tap(samples, rng)),
        "white_noise.wav": (0.2, lambda: _coloured(0, samples, rng)),
    }
    recordings = {}
    for name, (rms, make) in makers.items():
        sound = make()
        recordings[name] = quantised(sound * (rms / np.sqrt(np.mean(sound**2))))
    return recordings


def stretches(recordings: Sequence[np.ndarray], count: int, rng: np.random.Generator) -> np.ndarray:
    """Return float32 [count, CLIP_SAMPLES], full scale 1: random seconds of random recordings."""
    seconds = np.empty((count, CLIP_SAMPLES), dtype=np.float32)
    for row in seconds:
        recording = recordings[int(rng.integers(len(recordings)))]
        start = rng.integers(len(recording) - CLIP_SAMPLES + 1)
        row[:] = recording[start : start + CLIP_SAMPLES] / np.float32(FULL_SCALE)
    return seconds


def _coloured(slope: float, samples: int, rng: np.random.Generator) -> np.ndarray:
    return coloured_noise(np.array([slope]), samples, rng)[0]


def _band(low_hz: float, high_hz: float, samples: int, rng: np.random.Generator) -> np.ndarray:
    from scipy import signal  # here, as in acoustics

    sections = signal.butter(2, (low_hz, high_hz), btype="band", fs=SAMPLE_RATE_HZ, output="sos")
    return signal.sosfilt(sections, rng.standard_normal(samples, dtype=np.float32))


def _sway(samples: int, depth: float, rng: np.random.Generator) -> np.ndarray:
    """Return a gain around 1 that wanders about twice a second."""
    points = max(2, 2 * samples // SAMPLE_RATE_HZ)
    return np.interp(np.linspace(0, points - 1, samples), np.arange(points), rng.uniform(1 - depth, 1 + depth, points))


def _hum(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Return the mains: 50 or 60 Hz and falling harmonics."""
    times_s = np.arange(samples) / SAMPLE_RATE_HZ
    mains_hz = rng.choice([50, 60]) + rng.uniform(-0.2, 0.2)
    overtones = zip(range(1, 13), rng.uniform(0, 2 * np.pi, 12), rng.uniform(0.3, 1, 12), strict=True)
    return sum(loud / n * np.sin(2 * np.pi * mains_hz * n * times_s + phase) for n, phase, loud in overtones)


def _tap(samples: int, rng: np.random.Generator) -> np.ndarray:
    hiss = _band(900, 6_500, samples, rng) * _sway(samples, 0.15, rng)
    gurgle = _band(250, 700, samples, rng) * _sway(samples, 0.6, rng)
    return hiss + 0.7 * gurgle + 0.1 * _coloured(2, samples, rng)


def _bike(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Return a fan that whirrs in the rhythm of the pedals, over the mains."""
    times_s = np.arange(samples) / SAMPLE_RATE_HZ
    turns = np.cumsum(rng.uniform(1.2, 1.8) * _sway(samples, 0.1, rng)) / SAMPLE_RATE_HZ
    stroke = 0.25 + np.maximum(0, np.sin(2 * np.pi * 2 * turns)) ** 3
    whirr = _band(200, 2_500, samples, rng) * stroke
    blades = np.sin(2 * np.pi * rng.uniform(90, 160) * times_s) * stroke
    return whirr + 0.3 * blades * np.std(whirr) + 0.15 * np.std(whirr) * _hum(samples, rng)


def _dishes(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Return clinks (decaying inharmonic partials) at random times over splashing."""
    sound = 0.12 * _tap(samples, rng) * _sway(samples, 0.8, rng)
    for _ in range(max(3, round(2.5 * samples / SAMPLE_RATE_HZ))):
        start = int(rng.integers(samples))
        times_s = np.arange(min(samples - start, SAMPLE_RATE_HZ // 2)) / SAMPLE_RATE_HZ
        for partial_hz in rng.uniform(900, 7_000, size=4):
            ring = np.sin(2 * np.pi * partial_hz * times_s) * np.exp(-times_s / rng.uniform(0.01, 0.1))
            sound[start : start + len(ring)] += rng.uniform(0.1, 0.8) * ring
    return sound


def _miaowing(
    miaows: Sequence[np.ndarray], crowd: Sequence[np.ndarray], samples: int, rng: np.random.Generator
) -> np.ndarray:
    sound = 0.1 * _coloured(1.5, samples, rng)
    for voice in crowd:  # Each talks all the time, from a point of its own.
        sound += 0.15 * np.roll(np.resize(voice, samples), rng.integers(samples))
    start = 0
    while (start := start + int(rng.uniform(0.8, 3) * SAMPLE_RATE_HZ)) < samples:
        miaow = miaows[int(rng.integers(len(miaows)))][: samples - start]
        sound[start : start + len(miaow)] += rng.uniform(0.4, 1.2) * miaow
    return sound
