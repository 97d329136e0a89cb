import numpy as np
import pytest

from pipeline.examples.transforms import AddNoise, Speed


def noise(length: int = 40_000) -> np.ndarray:
    return (np.random.default_rng(6).normal(size=length) * 1_000).astype(np.int16)


def clip(length: int = 16_000) -> np.ndarray:
    return (np.random.default_rng(5).normal(size=length) * 0.1).astype(np.float32)


def test_speed_moves_the_pitch() -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000).astype(np.float32)
    fast = Speed(2.0, 2.0, p=1)(tone, 16_000)
    spectrum = np.abs(np.fft.rfft(fast))
    assert len(fast) == 16_000
    assert abs(int(spectrum.argmax()) - 880) <= 2
    assert not fast[:3_900].any()  # half of the clip is left, about its middle
    assert fast[5_000:11_000].any()


def test_noise_comes_at_the_ratio_asked_for() -> None:
    added = AddNoise([noise()], 10, 10, p=1)(clip(), 16_000) - clip()
    snr_db = 10 * np.log10(np.mean(clip() ** 2) / np.mean(added**2))
    assert snr_db == pytest.approx(10, abs=0.01)


def test_digital_silence_gets_no_noise() -> None:
    assert not AddNoise([noise()], p=1)(np.zeros(16_000, np.float32), 16_000).any()


@pytest.mark.parametrize("noises", [[], [noise(8_000)]], ids=["none", "under a second"])
def test_without_recordings_of_a_second_nothing_is_added(noises: list[np.ndarray]) -> None:
    np.testing.assert_array_equal(AddNoise(noises, 0, 0, p=1)(clip(), 16_000), clip())


def test_a_recording_that_is_shorter_than_the_clip_goes_round() -> None:
    added = AddNoise([noise(16_000)], 0, 0, p=1)(clip(40_000), 16_000) - clip(40_000)
    np.testing.assert_allclose(added[:16_000], added[16_000:32_000], atol=1e-6)


@pytest.mark.parametrize("speeds", [(1.2, 0.9), (0.4, 1.0), (1.0, 2.5)])
def test_speeds_that_make_no_sense_are_refused(speeds: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r"0.5 <= min_speed <= max_speed <= 2.0 does not hold"):
        Speed(*speeds)


def test_ratios_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match="min_snr_db <= max_snr_db does not hold"):
        AddNoise([], 5, 0)
