import random

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.clips.noise import Noise
from pipeline.clips.silence import Silence, make

HUM = Noise("hum", np.full(40_000, 8192, np.int16))
HISS = Noise("hiss", np.full(40_000, 4096, np.int16))


def clips(noises, count=1, seed=0, **settings):
    return list(make(noises, count, Silence(**settings), np.random.default_rng(seed)))


@pytest.mark.parametrize("noise", [HUM, HISS])
def test_noise_of_any_volume_is_brought_to_the_level(noise):
    ((samples, name),) = clips([noise], digital_share=0, mixture_share=0, min_level_db=-20, max_level_db=-20)
    assert samples.dtype == np.int16
    np.testing.assert_array_equal(samples, np.full(16_000, 3277))  # 32768 / 10, rounded
    assert name == noise.name


def test_two_noises_are_added_in_a_mixture():
    ((samples, name),) = clips([HUM, HISS], digital_share=0, mixture_share=1, min_level_db=-20, max_level_db=-20)
    np.testing.assert_array_equal(samples, np.full(16_000, 6554))
    assert sorted(name.split("\n")) == ["hiss", "hum"]


def test_one_noise_alone_is_never_mixed_with_itself():
    assert {name for _, name in clips([HUM], 20, digital_share=0, mixture_share=1)} == {"hum"}


def test_loud_noise_is_clipped_instead_of_wrapped():
    ((samples, _),) = clips([HUM, HISS], digital_share=0, mixture_share=1, min_level_db=0, max_level_db=0)
    np.testing.assert_array_equal(samples, np.full(16_000, 32_767))


def test_a_stretch_of_zeros_stays_zeros():
    ((samples, _),) = clips([Noise("off", np.zeros(20_000, np.int16))], digital_share=0)
    assert not samples.any()


def test_digital_silence_has_its_share():
    made = clips([HUM], 400, digital_share=0.25)
    digital = [samples for samples, name in made if name == "digital"]
    assert 75 <= len(digital) <= 125
    assert not np.any(digital)


def test_levels_spread_over_the_range():
    levels_db = [20 * np.log10(samples.max() / 32_768) for samples, _ in clips([HUM], 300, digital_share=0)]
    assert -65.5 < min(levels_db) < -60
    assert -15 < max(levels_db) < -9.9


def test_places_in_the_noise_vary_and_stay_inside():
    ramp = Noise("ramp", np.arange(1, 20_001, dtype=np.int16))
    # The level is brought to one, the slope tells the place: it falls as the ramp rises.
    ratios = [samples[0] / samples[-1] for samples, _ in clips([ramp], 50, digital_share=0)]
    assert 0 <= min(ratios) < 0.1
    assert 0.15 < max(ratios) < 4001 / 20_000 + 0.01
    assert len(set(ratios)) > 30


def test_a_short_noise_goes_round():
    beep = Noise("beep", np.array([100, 200, 300], np.int16))
    ((samples, _),) = clips([beep], digital_share=0, min_level_db=-20, max_level_db=-20)
    assert len(samples) == 16_000
    assert len(set(samples[:3])) == 3
    np.testing.assert_array_equal(samples[3:], samples[:-3])


def test_clips_depend_on_the_generator_alone():
    first = clips([HUM, HISS], 20, seed=5)
    random.seed(99)
    np.random.seed(99)
    second = clips([HUM, HISS], 20, seed=5)
    assert [name for _, name in first] == [name for _, name in second]
    for (one, _), (other, _) in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_no_noise_is_refused():
    with pytest.raises(ValueError, match="no noise"):
        clips([])


@pytest.mark.parametrize(
    "bad", [{"train": -1}, {"digital_share": 1.1}, {"min_level_db": -10, "max_level_db": -20}, {"max_level_db": 1}]
)
def test_bad_amounts_are_refused(bad):
    with pytest.raises(ValidationError):
        Silence(**bad)


def test_a_short_noise_begins_at_a_drawn_place():
    beep = Noise("beep", np.array([100, 200, 300], np.int16))
    made = clips([beep], 40, digital_share=0, min_level_db=-20, max_level_db=-20)
    assert len({int(samples[0]) for samples, _ in made}) == 3
