"""Looks: where the samples of a clip go."""

import numpy as np
import pytest

from pipeline.examples.looks import Look

CLIP = np.zeros((2, 16_000), np.int16)
CLIP[0, 8_000], CLIP[1, 4_000] = 1_000, -2_000


def test_a_bare_look_is_the_clip_itself():
    assert Look().at(CLIP) is CLIP


def test_a_shift_moves_later_and_loses_what_leaves():
    later = Look(shift_ms=100).at(CLIP)
    assert (later[0, 9_600], later[1, 5_600]) == (1_000, -2_000)
    assert np.count_nonzero(later) == 2
    assert later.dtype == np.int16
    assert not Look(shift_ms=-500).at(CLIP)[1].any()


def test_a_gain_is_in_decibel_and_stops_at_full_scale():
    assert Look(gain_db=20).at(CLIP)[0, 8_000] == 10_000
    assert Look(gain_db=60).at(CLIP)[1, 4_000] == -32_768


def test_a_level_is_that_of_the_whole_clip_before_the_gain():
    noise = np.random.default_rng(1).normal(size=(3, 16_000)) * np.array([[8_000], [300], [2]])
    heard = Look(level_db=-30, gain_db=6).at(noise.astype(np.int16))
    level = 20 * np.log10(np.sqrt(np.square(heard / 32_768).mean(axis=1)))
    assert level[:2] == pytest.approx([-24, -24], abs=0.02)
    own = 20 * np.log10(np.sqrt(np.square(noise[2].astype(np.int16) / 32_768).mean()))
    assert level[2] == pytest.approx(own + 26, abs=0.05)  # not raised by more than 20 dB
    assert not Look(level_db=-30).at(np.zeros((1, 16_000), np.int16)).any()


def test_speed_gathers_the_clip_about_its_middle():
    fast = Look(speed=2).at(CLIP)
    assert fast[0, 8_000] == 1_000
    assert fast[1, 6_000] == -2_000
    slow = Look(speed=0.5).at(CLIP)
    assert slow[1, 0] == -2_000


@pytest.mark.parametrize("wrong", [{"speed": 0}, {"shift_ms": 1_000}, {"pitch": 1}])
def test_what_is_no_look_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Look(**wrong)
