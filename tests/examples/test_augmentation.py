import random

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.examples.augmentation import AddNoise, Augmentation, Augmenter, Speed

OFF = {"shift_share": 0, "gain_share": 0, "noise_share": 0, "speed_share": 0}


def generators(count: int, seed: int = 0) -> list[np.random.Generator]:
    return [np.random.default_rng([seed, clip]) for clip in range(count)]


def clips(count: int = 3) -> np.ndarray:
    return (np.random.default_rng(5).normal(size=(count, 16_000)) * 3_000).astype(np.int16)


def noise() -> np.ndarray:
    return (np.random.default_rng(6).normal(size=40_000) * 1_000).astype(np.int16)


def test_all_shares_at_zero_leave_the_clips_alone() -> None:
    out = Augmenter(Augmentation(**OFF), [noise()])(clips(), generators(3))
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, clips().astype(np.float32) / 32768)


def test_a_clip_depends_on_its_own_generator_alone() -> None:
    augment = Augmenter(Augmentation(), [noise()])
    together = augment(clips(), generators(3))
    random.seed(99)
    alone = augment(clips()[2:], generators(3)[2:])
    np.testing.assert_array_equal(together[2], alone[0])
    assert not np.array_equal(together[2], augment(clips()[2:], generators(1, seed=1))[0])


def test_the_global_state_of_random_is_put_back() -> None:
    random.seed(7)
    expected = random.random()
    random.seed(7)
    Augmenter(Augmentation(), [noise()])(clips(), generators(3))
    assert random.random() == expected


def test_noise_comes_at_the_ratio_asked_for() -> None:
    params = Augmentation(**{**OFF, "noise_share": 1, "min_snr_db": 10, "max_snr_db": 10})
    clean = clips(1).astype(np.float32) / 32768
    added = Augmenter(params, [noise()])(clips(1), generators(1)) - clean
    snr_db = 10 * np.log10(np.mean(clean**2) / np.mean(added**2))
    assert snr_db == pytest.approx(10, abs=0.01)


def test_digital_silence_gets_no_noise_and_recordings_under_a_second_are_not_used() -> None:
    params = Augmentation(**{**OFF, "noise_share": 1})
    silence = np.zeros((1, 16_000), np.int16)
    assert not Augmenter(params, [noise()])(silence, generators(1)).any()
    np.testing.assert_array_equal(
        Augmenter(params, [noise()[:8_000]])(clips(1), generators(1)), clips(1).astype(np.float32) / 32768
    )


def test_speed_moves_the_pitch() -> None:
    transform = Speed(2.0, 2.0, p=1)
    tone = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000).astype(np.float32)
    fast = transform(tone, 16_000)
    spectrum = np.abs(np.fft.rfft(fast))
    assert len(fast) == 16_000
    assert abs(int(spectrum.argmax()) - 880) <= 2
    assert not fast[:3_900].any()  # half of the clip is left, about its middle
    assert fast[5_000:11_000].any()


def test_shift_moves_by_at_most_what_it_may() -> None:
    click = np.zeros((20, 16_000), np.int16)
    click[:, 8_000] = 20_000
    params = Augmentation(**{**OFF, "shift_share": 1, "shift_ms": 50})
    at = Augmenter(params, [])(click, generators(20)).argmax(axis=1)
    assert np.abs(at - 8_000).max() <= 800
    assert len(set(at)) > 10


def test_result_stays_in_range() -> None:
    loud = np.full((2, 16_000), 32_000, np.int16)
    params = Augmentation(**{**OFF, "gain_share": 1, "min_gain_db": 20, "max_gain_db": 20})
    assert np.abs(Augmenter(params, [])(loud, generators(2))).max() == 1


def test_noise_without_recordings_does_nothing() -> None:
    samples = np.ones(16_000, np.float32)
    np.testing.assert_array_equal(AddNoise([], 0, 0, p=1)(samples, 16_000), samples)


@pytest.mark.parametrize(
    "bad",
    [{"shift_share": 1.5}, {"min_snr_db": 5, "max_snr_db": 0}, {"min_speed": 1.2, "max_speed": 0.9}, {"shift": 3}],
)
def test_bad_values_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Augmentation(**bad)
