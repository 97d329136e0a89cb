import numpy as np
import pytest

from pipeline.synthesis import backgrounds
from pipeline.synthesis.espeak import speak

NAMES = {
    "doing_the_dishes.wav",
    "dude_miaowing.wav",
    "exercise_bike.wav",
    "pink_noise.wav",
    "running_tap.wav",
    "white_noise.wav",
}


def make(seed, seconds=4):
    rng = np.random.default_rng(seed)
    spoken = list(speak(backgrounds.script(rng), seed))
    return backgrounds.record_backgrounds(spoken, seconds, rng)


@pytest.fixture(scope="module")
def recordings():
    return make(0)


def test_six_audible_recordings_of_the_asked_length(recordings):
    assert set(recordings) == NAMES
    for recording in recordings.values():
        assert recording.dtype == np.int16
        assert len(recording) == 4 * 16_000
        levels = np.std(recording.reshape(-1, 8_000) / 32_768, axis=1)
        assert np.all(levels > 0.003)  # No half second is silent.
        assert np.mean(np.abs(recording.astype(int)) >= 32_767) < 0.01


def test_same_generator_gives_the_same_recordings_and_another_gives_others(recordings):
    again, other = make(0), make(1)
    assert all(np.array_equal(recordings[name], again[name]) for name in NAMES)
    assert not any(np.array_equal(recordings[name], other[name]) for name in NAMES)


def test_white_is_brighter_than_pink_and_dishes_clink(recordings):
    def centre_hz(pcm):
        power = np.abs(np.fft.rfft(pcm.astype(float))) ** 2
        return (power * np.fft.rfftfreq(len(pcm), 1 / 16_000)).sum() / power.sum()

    def crest(pcm):
        return np.abs(pcm.astype(float)).max() / np.std(pcm)

    assert centre_hz(recordings["white_noise.wav"]) == pytest.approx(4_000, rel=0.05)
    assert centre_hz(recordings["pink_noise.wav"]) < 2_000
    assert crest(recordings["doing_the_dishes.wav"]) > 1.5 * crest(recordings["white_noise.wav"])


def test_stretches_are_seconds_of_the_recordings():
    ramp = np.arange(20_000, dtype=np.int16)
    rows = backgrounds.stretches([ramp], 5, np.random.default_rng(0))
    assert rows.shape == (5, 16_000)
    for row in rows:
        start = round(float(row[0]) * 32_768)
        assert np.array_equal(np.round(row * 32_768), ramp[start : start + 16_000])
    assert len({float(row[0]) for row in rows}) > 1
