import random
from typing import Any

import numpy as np
import pytest

from pipeline.examples.transforms import AddBabble, AddNoise, MicrophoneResponse, Room, Speed


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


def level_db(samples: np.ndarray, low_hz: float, high_hz: float) -> float:
    power = np.abs(np.fft.rfft(samples)) ** 2  # a second, so a line each hertz
    return float(10 * np.log10(power[int(low_hz) : int(high_hz)].mean()))


def test_a_microphone_loses_what_is_beyond_its_band() -> None:
    lost = []
    for seed in range(40):
        random.seed(seed)
        heard = MicrophoneResponse(max_gain_db=0, max_low_cut_hz=300, min_high_cut_hz=2_000, p=1)(clip(), 16_000)
        assert heard.dtype == np.float32
        assert heard.shape == (16_000,)
        assert level_db(heard, 400, 1_900) == pytest.approx(level_db(clip(), 400, 1_900), abs=0.2)
        low, high = (level_db(clip(), *band) - level_db(heard, *band) for band in [(30, 60), (7_000, 8_000)])
        lost.append((low > 3, high > 3))
        assert -0.1 < low < 24 * 3.4
        assert -0.1 < high < 24 * 2
    assert len(set(lost)) == 4  # both ends, either, or none


def test_a_microphone_is_smooth_and_within_its_gain() -> None:
    impulse = np.zeros(16_000, np.float32)
    impulse[8_000] = 1
    random.seed(1)
    heard = MicrophoneResponse(max_gain_db=6, max_low_cut_hz=20, min_high_cut_hz=8_000, p=1)(impulse, 16_000)
    gain_db = 20 * np.log10(np.abs(np.fft.rfft(heard)))
    assert np.abs(gain_db).max() <= 6.01
    assert np.ptp(gain_db) > 3
    assert np.abs(heard[:7_000]).max() < 1e-3  # it sounds when the impulse does
    assert np.abs(np.diff(gain_db[20:])).max() < 0.3


def test_a_room_adds_a_tail_and_keeps_the_level() -> None:
    impulse = np.zeros(16_000, np.float32)
    impulse[1_000] = 0.5
    random.seed(2)
    heard = Room(0.2, 0.2, 0, 0, p=1)(impulse, 16_000)
    assert heard.dtype == np.float32
    assert np.abs(heard[:1_000]).max() < 1e-6
    assert np.mean(heard**2) == pytest.approx(np.mean(impulse**2))
    tail = heard[1_001:]
    assert 10 * np.log10(heard[1_000] ** 2 / np.sum(tail**2)) == pytest.approx(0, abs=0.01)
    # 60 dB in 0.2 s are 30 dB from one tenth of a second to the next.
    falls_db = 10 * np.log10(np.mean(tail[:800] ** 2) / np.mean(tail[1_600:2_400] ** 2))
    assert falls_db == pytest.approx(30, abs=1.5)


def test_silence_in_a_room_is_silence() -> None:
    assert not Room(p=1)(np.zeros(16_000, np.float32), 16_000).any()
    assert not MicrophoneResponse(p=1)(np.zeros(16_000, np.float32), 16_000).any()


@pytest.mark.parametrize(
    ("kind", "arguments", "says"),
    [
        (MicrophoneResponse, {"max_gain_db": -1.0}, "max_gain_db >= 0 does not hold"),
        (MicrophoneResponse, {"max_low_cut_hz": 10.0}, r"20.0 <= max_low_cut_hz <= min_high_cut_hz <= 8000.0 does"),
        (MicrophoneResponse, {"min_high_cut_hz": 200.0}, r"20.0 <= max_low_cut_hz <= min_high_cut_hz <= 8000.0 does"),
        (Room, {"min_rt60_s": 0.0}, r"0 < min_rt60_s <= max_rt60_s <= 2.0 does not hold"),
        (Room, {"max_rt60_s": 3.0}, r"0 < min_rt60_s <= max_rt60_s <= 2.0 does not hold"),
        (Room, {"min_direct_db": 20.0}, "min_direct_db <= max_direct_db does not hold"),
    ],
)
def test_what_no_microphone_or_room_has_is_refused(kind: Any, arguments: dict[str, float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        kind(**arguments)


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


def tone(hertz: int, level: int, length: int = 16_000) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hertz * np.arange(length) / 16_000)).astype(np.int16)


def test_a_crowd_comes_at_the_ratio_asked_for_and_all_in_it_are_equally_loud() -> None:
    talkers = {500: tone(500, 20_000), 1_500: tone(1_500, 200), 2_500: tone(2_500, 2_000, 8_000)}  # one is half as long
    heard = set()
    for seed in range(30):
        random.seed(seed)
        babble = AddBabble(list(talkers.values()), min_talkers=2, max_talkers=2, min_snr_db=10, max_snr_db=10, p=1)
        added = babble(clip(), 16_000) - clip()
        lines = {hertz: float(np.abs(np.fft.rfft(added))[hertz]) for hertz in talkers}
        present = [hertz for hertz, line in lines.items() if line > max(lines.values()) / 10]
        heard.add(tuple(present))
        if len(present) == 2:
            assert 10 * np.log10(np.mean(clip() ** 2) / np.mean(added**2)) == pytest.approx(10, abs=0.01)
            assert lines[present[0]] == pytest.approx(lines[present[1]], rel=0.05)
    assert {(500, 1_500), (500, 2_500), (1_500, 2_500)} <= heard  # or one of them twice


def test_a_talker_is_turned_so_that_words_do_not_come_at_once() -> None:
    word = np.zeros(16_000, np.int16)
    word[8_000:8_100] = 1_000
    begins = []
    for seed in range(20):
        random.seed(seed)
        added = AddBabble([word], 1, 1, 0, 0, p=1)(clip(), 16_000) - clip()
        begins.append(int(np.abs(added).argmax()))
    assert max(begins) - min(begins) > 8_000


@pytest.mark.parametrize("speech", [[], [np.zeros(16_000, np.int16)]], ids=["nobody", "nothing said"])
def test_where_nobody_says_anything_there_is_no_babble(speech: list[np.ndarray]) -> None:
    np.testing.assert_array_equal(AddBabble(speech, p=1)(clip(), 16_000), clip())
    assert not AddBabble([noise(16_000)], p=1)(np.zeros(16_000, np.float32), 16_000).any()


@pytest.mark.parametrize("talkers", [(0, 3), (4, 3)])
def test_a_crowd_of_nobody_is_refused(talkers: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="1 <= min_talkers <= max_talkers does not hold"):
        AddBabble([], *talkers)


@pytest.mark.parametrize("speeds", [(1.2, 0.9), (0.4, 1.0), (1.0, 2.5)])
def test_speeds_that_make_no_sense_are_refused(speeds: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r"0.5 <= min_speed <= max_speed <= 2.0 does not hold"):
        Speed(*speeds)


def test_ratios_in_the_wrong_order_are_refused() -> None:
    for kind in (AddNoise, AddBabble):
        with pytest.raises(ValueError, match="min_snr_db <= max_snr_db does not hold"):
            kind([], min_snr_db=5, max_snr_db=0)
