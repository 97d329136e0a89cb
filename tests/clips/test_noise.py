from itertools import pairwise

import numpy as np
import pytest

from pipeline.clips.noise import GAP_SAMPLES, NEVER_JUDGED, Noise, cut, is_cut

SECOND = 16_000


def ramp(length):
    """A noise whose every sample tells its place."""
    return Noise("hum.wav", np.arange(length))


@pytest.mark.parametrize("length", [40_000, 5 * SECOND, 7 * SECOND, 60 * SECOND + 1])
def test_stretches_are_disjoint_with_a_gap_and_hold_a_second(length):
    stretches = dict(cut(ramp(length), 0))
    train, judging = stretches[NEVER_JUDGED].samples, stretches[0].samples
    assert train[0] == 0
    assert judging[-1] == length - 1
    assert judging[0] - train[-1] == GAP_SAMPLES + 1
    assert len(judging) >= SECOND
    assert len(train) >= SECOND


def test_a_long_recording_gives_four_fifths_to_training():
    stretches = dict(cut(ramp(1_000_000), 0))
    assert len(stretches[NEVER_JUDGED].samples) == 800_000


def test_short_recordings_stay_whole_and_take_turns():
    assert [cut(ramp(39_999), position)[0][0] for position in range(3)] == [NEVER_JUDGED, 0, NEVER_JUDGED]
    ((_, whole),) = cut(ramp(100), 0)
    assert len(whole.samples) == 100


@pytest.mark.parametrize("folds", [2, 3, 5, 10])
@pytest.mark.parametrize("extra", [0, 1, 7, 12_345, 1_000_000])
def test_folds_share_a_recording_evenly_and_no_sample(folds, extra):
    shortest = folds * SECOND + (folds - 1) * GAP_SAMPLES
    stretches = cut(ramp(shortest + extra), 0, folds)
    assert [fold for fold, _ in stretches] == list(range(folds))
    samples = [stretch.samples for _, stretch in stretches]
    assert all(len(stretch) >= SECOND for stretch in samples)
    assert max(map(len, samples)) - min(map(len, samples)) <= 1
    for before, after in pairwise(samples):
        assert after[0] - before[-1] == GAP_SAMPLES + 1
    assert samples[0][0] == 0
    assert samples[-1][-1] == shortest + extra - 1


@pytest.mark.parametrize("folds", [1, 2, 3, 5])
def test_a_recording_is_cut_from_the_length_on_that_gives_each_fold_a_second(folds):
    shortest = 40_000 if folds == 1 else folds * SECOND + (folds - 1) * GAP_SAMPLES
    assert is_cut(ramp(shortest), folds)
    assert not is_cut(ramp(shortest - 1), folds)


def test_recordings_too_short_for_the_folds_go_round():
    whole = [cut(ramp(50_000), position, 3) for position in range(7)]
    assert [[fold for fold, _ in stretches] for stretches in whole] == [[0], [1], [2], [0], [1], [2], [0]]
    assert all(len(stretch.samples) == 50_000 for stretches in whole for _, stretch in stretches)


def test_a_recording_may_stay_whole_for_one_fold():
    assert [[fold for fold, _ in cut(ramp(900_000), position, 3, whole=True)] for position in range(4)] == [
        *([0], [1], [2], [0])
    ]
    judging = [position for position in range(8) if cut(ramp(900_000), position, whole=True)[0][0] == 0]
    assert judging == [1, 5]
    ((_, stretch),) = cut(ramp(900_000), 0, 3, whole=True)
    assert len(stretch.samples) == 900_000
