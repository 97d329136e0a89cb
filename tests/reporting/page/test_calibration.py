import numpy as np
import pytest

from pipeline.reporting.page import calibration
from tests.reporting.page.evidence import evidence_of


def test_a_bin_tells_what_was_said_what_came_true_and_how_sure_that_is():
    said, came_true = np.array([0.82, 0.84, 0.86, 0.88, 0.15]), np.array([True, True, True, False, False])
    low, high = calibration.reliability(said, came_true)
    assert (low["clips"], high["clips"]) == (1, 4)
    assert (high["said"], high["true"]) == (pytest.approx(0.85), 0.75)
    assert high["low"] < 0.75 < high["high"]
    assert calibration.expected_error([low, high]) == pytest.approx((0.1 * 4 + 0.15) / 5)


def test_certainty_that_is_right_has_no_error():
    points = calibration.reliability(np.ones(3), np.ones(3, bool))
    assert [point["clips"] for point in points] == [3]
    assert calibration.expected_error(points) == 0
    assert calibration.expected_error([]) == 0


def test_of_one_label_the_likeliest_is_judged_of_several_each():
    said, came_true = calibration.outcomes(evidence_of([[0.7, 0.3], [0.4, 0.6]], [0, 0]))
    assert said.tolist() == pytest.approx([0.7, 0.6])
    assert came_true.tolist() == [True, False]
    said, came_true = calibration.outcomes(evidence_of([[0.7, 0.9]], np.array([[True, False]])))
    assert said.tolist() == pytest.approx([0.7, 0.9])
    assert came_true.tolist() == [True, False]
