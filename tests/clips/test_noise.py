import numpy as np
import pytest

from pipeline.clips.noise import GAP_SAMPLES, SHORTEST_CUT_SAMPLES, Noise, cut


def ramp(length):
    """A noise whose every sample tells its place."""
    return Noise("hum.wav", np.arange(length))


@pytest.mark.parametrize("length", [SHORTEST_CUT_SAMPLES, 5 * 16_000, 7 * 16_000, 60 * 16_000 + 1])
def test_stretches_are_disjoint_with_a_gap_and_hold_a_second(length):
    stretches = dict(cut(ramp(length), 0))
    train, validation = stretches["train"].samples, stretches["validation"].samples
    assert train[0] == 0
    assert validation[-1] == length - 1
    assert validation[0] - train[-1] == GAP_SAMPLES + 1
    assert len(validation) >= 16_000
    assert len(train) >= 16_000


def test_a_long_recording_gives_four_fifths_to_training():
    stretches = dict(cut(ramp(1_000_000), 0))
    assert len(stretches["train"].samples) == 800_000


def test_short_recordings_stay_whole_and_take_turns():
    assert [cut(ramp(SHORTEST_CUT_SAMPLES - 1), position)[0][0] for position in range(3)] == [
        "train",
        "validation",
        "train",
    ]
    ((_, whole),) = cut(ramp(100), 0)
    assert len(whole.samples) == 100
