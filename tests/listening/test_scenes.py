import itertools

import numpy as np
import pytest

from pipeline.clips.noise import Noise
from pipeline.errors import PipelineError
from pipeline.listening import scenes

RNG = np.random.default_rng(2)
NOISES = [
    Noise("hum", (RNG.normal(0, 40, 48_000)).astype(np.int16)),
    Noise("loud", (RNG.normal(0, 4_000, 100_000)).astype(np.int16)),
    Noise("short", np.ones(9_000, np.int16)),
]


def level_db(sound: np.ndarray) -> float:
    return float(20 * np.log10(np.sqrt(np.mean((sound.astype(float) / 32_768) ** 2))))


def test_noise_has_one_level_whatever_it_is_made_of_and_lasts_as_long_as_asked() -> None:
    sound = np.concatenate(list(scenes.noise_alone(NOISES, 60 / 3600, np.random.default_rng(1))))
    assert len(sound) == 60 * 16_000
    assert sound.dtype == np.int16
    seconds = [level_db(second) for second in sound.reshape(60, -1)]
    assert np.median(seconds) == pytest.approx(scenes.LEVEL_DB, abs=0.3)
    assert max(abs(level - scenes.LEVEL_DB) for level in seconds) < 2  # fades too
    again = np.concatenate(list(scenes.noise_alone(NOISES, 60 / 3600, np.random.default_rng(1))))
    np.testing.assert_array_equal(sound, again)


def test_words_lie_where_it_is_said_at_the_ratio_that_is_said() -> None:
    clips = [
        ((RNG.normal(0, amplitude, 16_000)).astype(np.int16), name) for amplitude, name in ((50, "a"), (5_000, "b"))
    ]
    placed, parts = [], []
    for sound, word in scenes.words_in_noise(iter(clips), NOISES, 20.0, 2.0, np.random.default_rng(3)):
        parts.append(sound)
        placed.append(word)
    scene = np.concatenate(parts)
    assert [word.label for word in placed] == ["a", "b"]
    for word in placed:
        inside = scene[round(word.start_s * 16_000) : round(word.end_s * 16_000)]
        assert len(inside) == 16_000
        assert level_db(inside) == pytest.approx(scenes.LEVEL_DB + 20, abs=0.5)
    assert placed[1].start_s - placed[0].end_s > 0
    assert 6 <= len(scene) / 16_000 <= 10


def test_noise_that_is_too_short_is_refused() -> None:
    with pytest.raises(PipelineError, match="no background noise that is held out"):
        list(itertools.islice(scenes.background(NOISES[2:], RNG), 1))


def test_stretches_are_faded_into_each_other_without_a_click() -> None:
    steady = [Noise("steady", np.full(100_000, 1_000, np.int16))]
    sound = np.concatenate(list(scenes.noise_alone(steady, 30 / 3600, np.random.default_rng(1))))[scenes.FADE_SAMPLES :]
    level = 10 ** (scenes.LEVEL_DB / 20) * 32_768
    assert sound.min() >= level - 1
    assert sound.max() == pytest.approx(level * np.sqrt(2), abs=1)  # of two alike, in the middle of a fade
    assert np.abs(np.diff(sound.astype(int))).max() <= 1


def test_stretches_are_of_all_places_of_a_recording() -> None:
    half = [Noise("half", np.repeat(np.array([-1_000, 1_000], np.int16), 160_000))]  # below zero, then above
    stretches = itertools.islice(scenes.background(half, np.random.default_rng(1)), 40)
    begun = [float(stretch[scenes.FADE_SAMPLES]) < 0 for stretch in stretches]
    assert 10 < sum(begun) < 30


def test_a_word_may_lie_anywhere_in_its_noise() -> None:
    clips = [(np.full(16_000, 1_000, np.int16), "a")] * 20
    at, places = 0.0, []
    for sound, word in scenes.words_in_noise(iter(clips), NOISES, 20.0, 2.0, np.random.default_rng(3)):
        places.append((word.start_s - at) / (len(sound) / 16_000 - 1))
        at += len(sound) / 16_000
    assert 0 <= min(places) < 0.2 < 0.8 < max(places) <= 1
