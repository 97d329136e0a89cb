import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.learners import rates

COUNTS = np.array([[8, 2, 0], [5, 5, 0], [0, 0, 0]])


def test_confusion_has_truth_in_rows():
    assert rates.confusion(np.array([0, 0, 1]), np.array([1, 1, 0]), 3).tolist() == [[0, 2, 0], [1, 0, 0], [0, 0, 0]]


def test_recall_is_nan_without_clips():
    assert rates.recalls(COUNTS)[:2].tolist() == [0.8, 0.5]
    assert np.isnan(rates.recalls(COUNTS)[2])


def test_accuracy_under_a_prior_weighs_the_recalls():
    assert rates.accuracy(COUNTS) == 0.65
    assert rates.accuracy(COUNTS, np.array([0.9, 0.1, 0.0])) == pytest.approx(0.77)
    # The third label has no clip: its share falls to the others.
    assert rates.accuracy(COUNTS, np.array([0.45, 0.05, 0.5])) == pytest.approx(0.77)


def test_a_prior_without_any_judged_label_is_refused():
    with pytest.raises(PipelineError, match="None of the labels"):
        rates.accuracy(COUNTS, np.array([0.0, 0.0, 1.0]))


def test_macro_f1_leaves_out_labels_that_do_not_occur():
    assert rates.macro_f1(COUNTS) == pytest.approx((16 / 23 + 10 / 17) / 2)


def test_effective_clips_are_the_clips_when_all_weigh_the_same():
    assert rates.effective_clips(COUNTS, np.array([0.5, 0.5, 0.0])) == pytest.approx(20)
    assert rates.effective_clips(COUNTS, np.array([0.9, 0.1, 0.0])) == pytest.approx(1 / (0.081 + 0.001))


def test_wilson_interval_of_a_textbook_case():
    assert rates.wilson(0.8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    low, high = rates.wilson(1.0, 50)
    assert high == pytest.approx(1)
    assert low == pytest.approx(0.9287, abs=1e-4)
