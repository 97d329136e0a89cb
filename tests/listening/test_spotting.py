import itertools

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.listening.spotting import Detector, Smoothing, Spotter, Spotting

LABELS = ["no", "silence", "yes"]


def steps(*yes: float) -> np.ndarray:
    return np.array([[0.0, 1 - value, value] for value in yes], np.float32)


def spotter(**settings: float) -> Spotter:
    return Spotter(LABELS, ["yes", "no"], 0.1, Spotting(**{"threshold": 0.6, "smoothing_ms": 0, **settings}))


def test_a_word_is_said_once_and_again_after_its_rest() -> None:
    found = spotter(refractory_ms=300).push(steps(0, 0.7, 0.9, 0.2, 0.9, 0.9))
    assert [(one.time_s, one.label) for one in found] == [(0.1, "yes"), (0.4, "yes")]
    assert found[1].probability == pytest.approx(0.9)


def test_a_word_that_is_heard_for_long_is_one_word_and_another_after_it_another() -> None:
    values = np.array([[0, 0.1, 0.9]] * 9 + [[0.9, 0.1, 0]] * 3 + [[0, 0.1, 0.9]] * 9, np.float32)
    found = spotter(refractory_ms=300).push(values)
    assert [(one.time_s, one.label) for one in found] == [(0.0, "yes"), (0.9, "no"), (1.2, "yes")]


def test_smoothing_asks_for_more_than_one_step_and_tells_the_middle_of_them() -> None:
    found = spotter(smoothing_ms=300).push(steps(0, 0, 0.9, 0, 0, 0.9, 0.9, 0.9))
    assert [one.time_s for one in found] == [0.6]  # the three steps at 0.5, 0.6 and 0.7 s
    assert not spotter(smoothing_ms=300).push(steps(0.9, 0.8))  # no more has been heard yet


def test_blocks_make_no_difference() -> None:
    values = np.random.default_rng(1).dirichlet([1, 1, 1], 400).astype(np.float32)
    settings = {"threshold": 0.5, "smoothing_ms": 250, "refractory_ms": 700}
    whole = spotter(**settings).push(values)
    piecewise = spotter(**settings)
    cuts = [0, 1, 1, 2, 50, 57, 300, 400]
    assert len(whole) > 10
    assert [one for start, end in itertools.pairwise(cuts) for one in piecewise.push(values[start:end])] == whole
    smoothing = Smoothing(3, 4)
    parts = [smoothing.push(part) for part in np.array_split(values, 17)]
    np.testing.assert_array_equal(np.concatenate(parts), Smoothing(3, 4).push(values))


def test_steps_rest_after_each_detection() -> None:
    best, keyword = np.array([0.9, 0.9, 0.1, 0.9, 0.1, 0.9], np.float32), np.zeros(6, int)
    assert Detector(0.5, 0).push(best, keyword) == [0, 3, 5]
    assert Detector(0.5, 3).push(best, keyword) == [0, 3]
    assert Detector(0.5, 4).push(best, keyword) == [0, 5]
    assert Detector(0.95, 3).push(best, keyword) == []


def test_smoothing_over_more_than_a_word_is_refused() -> None:
    """An hour of it would ask for the memory of all its steps, for each step."""
    with pytest.raises(ValidationError, match="smoothing_ms"):
        Spotting(smoothing_ms=3_600_000)
