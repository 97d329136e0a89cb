import dataclasses

import numpy as np
import pytest

from pipeline.clips.waveform import CLIP_SAMPLES, SAMPLE_RATE_HZ
from pipeline.synthesis import acoustics
from pipeline.synthesis.acoustics import TEST, TRAINING
from pipeline.synthesis.espeak import SAMPLE_RATE_HZ as SPOKEN_RATE_HZ

TONE_HZ = 1_000


def white(clips, rng):
    return rng.standard_normal((clips, CLIP_SAMPLES))


def tone(seconds=0.5, *frequencies_hz):
    times_s = np.arange(int(seconds * SPOKEN_RATE_HZ)) / SPOKEN_RATE_HZ
    waves = [np.sin(2 * np.pi * hz * times_s) for hz in frequencies_hz or (TONE_HZ,)]
    return (20_000 * np.mean(waves, axis=0)).astype(np.int16)


def plain(clips, **changes):
    """A dry room, a flat microphone, no noise to speak of, a steady level, the middle of the second."""
    conditions = acoustics.draw(clips, TRAINING, white, np.random.default_rng(0))
    values = {
        "tail": np.zeros_like(conditions.tail),
        "band_gains_db": np.zeros_like(conditions.band_gains_db),
        "high_pass_hz": np.full(clips, 1.0),
        "low_pass_hz": np.full(clips, 50_000.0),
        "snr_db": np.full(clips, 80.0),
        "rms": np.full(clips, 0.1),
        "drive": np.zeros(clips),
        "place": np.full(clips, 0.5),
        "seconds": np.ones(clips),
    }
    return dataclasses.replace(conditions, **{**values, **changes})


def power_at(clip, hz):
    spectrum = np.abs(np.fft.rfft(clip.astype(float), n=SAMPLE_RATE_HZ)) ** 2
    return spectrum[hz - 20 : hz + 21].sum() / spectrum.sum()


def test_same_generator_gives_the_same_clips():
    def clips(seed):
        conditions = acoustics.draw(4, TRAINING, white, np.random.default_rng(seed))
        return acoustics.record([tone()] * 4, conditions)

    assert all(np.array_equal(a, b) for a, b in zip(clips(1), clips(1), strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(clips(1), clips(2), strict=True))


def test_a_tone_keeps_its_pitch_level_and_place():
    (clip,) = acoustics.record([tone(0.5)], plain(1))
    assert clip.dtype == np.int16
    assert len(clip) == CLIP_SAMPLES
    assert power_at(clip, TONE_HZ) > 0.95
    assert np.sqrt(np.mean((clip / 32_767) ** 2)) == pytest.approx(0.1, rel=0.01)
    loud = np.flatnonzero(np.abs(clip) > 1_000) / SAMPLE_RATE_HZ
    assert loud[0] == pytest.approx(0.25, abs=0.01)
    assert loud[-1] == pytest.approx(0.75, abs=0.01)


def test_noise_lies_the_asked_decibels_below_the_word():
    (clip,) = acoustics.record([tone(0.5)], plain(1, snr_db=np.array([12.0])))
    word, noise = clip[5_000:11_000].astype(float), clip[:3_000].astype(float)
    # The word's stretch holds the noise too.
    snr_db = 10 * np.log10((np.mean(word**2) - np.mean(noise**2)) / np.mean(noise**2))
    assert snr_db == pytest.approx(12, abs=0.5)


def test_the_microphone_cuts_below_and_above():
    both = tone(0.5, 250, 4_000)
    conditions = plain(3, high_pass_hz=np.array([1, 1_000, 1]), low_pass_hz=np.array([50_000, 50_000, 1_000]))
    balances_db = [
        10 * np.log10(power_at(clip, 4_000) / power_at(clip, 250)) for clip in acoustics.record([both] * 3, conditions)
    ]
    # Two octaves beyond the corner: second order falls 24 dB, fourth order 48.
    assert balances_db == pytest.approx([0, 24.1, -48.2], abs=0.5)


def test_the_microphone_tilts_between_its_bands():
    gains_db = np.zeros((1, 8))
    gains_db[0, 3] = 9  # 700 Hz
    (clip,) = acoustics.record([tone(0.5, 700, 5_000)], plain(1, band_gains_db=gains_db))
    assert 10 * np.log10(power_at(clip, 700) / power_at(clip, 5_000)) == pytest.approx(9, abs=0.5)


def test_a_room_rings_on_after_the_word():
    tail = np.zeros_like(plain(1).tail)
    tail[0, :4_000] = np.random.default_rng(0).standard_normal(4_000) * 0.01
    (dry,), (wet,) = (acoustics.record([tone(0.4)], plain(1, **change)) for change in ({}, {"tail": tail}))
    after = slice(int(0.72 * SAMPLE_RATE_HZ), int(0.8 * SAMPLE_RATE_HZ))
    assert np.std(wet[after]) > 10 * np.std(dry[after])


def test_a_shorter_clip_never_cuts_the_word():
    short, long = acoustics.record([tone(0.3), tone(0.7)], plain(2, seconds=np.array([0.5, 0.5])))
    assert len(short) == SAMPLE_RATE_HZ // 2
    assert len(long) == pytest.approx(0.7 * SAMPLE_RATE_HZ, rel=0.01)


def test_a_word_longer_than_the_second_is_cut():
    (clip,) = acoustics.record([tone(1.4)], plain(1))
    assert len(clip) == CLIP_SAMPLES


def test_overdrive_flattens_the_peaks():
    clean, driven = acoustics.record([tone()] * 2, plain(2, drive=np.array([0.0, 4.0])))
    assert np.abs(driven).max() < 0.8 * np.abs(clean).max()


def test_levels_follow_the_competition_and_the_test_is_noisier():
    training, test = (acoustics.draw(1_000, scene, lambda n, _: np.ones((n, 1)), np.random.default_rng(0))
                      for scene in (TRAINING, TEST))  # fmt: skip
    assert np.quantile(training.rms, [0.05, 0.25, 0.5, 0.75, 0.95]) == pytest.approx(
        [0.016, 0.035, 0.060, 0.085, 0.133], rel=0.15
    )
    assert np.mean(training.seconds < 1) == pytest.approx(0.1, abs=0.03)
    assert np.mean(test.seconds < 1) == 0
    assert np.mean(test.snr_db) < np.mean(training.snr_db) - 5


@pytest.mark.parametrize("slope", [0, 1, 2])
def test_coloured_noise_falls_by_its_slope(slope):
    (noise,) = acoustics.coloured_noise(np.array([slope]), 2**16, np.random.default_rng(0))
    power = np.abs(np.fft.rfft(noise)) ** 2
    octave_hz = [(500, 1_000), (1_000, 2_000), (2_000, 4_000)]
    bins = [slice(int(a * 2**16 / 16_000), int(b * 2**16 / 16_000)) for a, b in octave_hz]
    falls_db = np.diff([10 * np.log10(power[one].mean()) for one in bins])
    assert falls_db == pytest.approx([-3.01 * slope] * 2, abs=0.4)
    assert np.sqrt(np.mean(noise**2)) == pytest.approx(1, abs=1e-3)


def test_quantised_clips_what_is_too_loud():
    assert acoustics.quantised(np.array([-2.0, -1, 0, 0.5, 3])).tolist() == [-32_767, -32_767, 0, 16_384, 32_767]
