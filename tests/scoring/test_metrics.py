import numpy as np
import pytest

from pipeline.scoring import metrics

LABELS = ["yes", "unknown", "silence"]


def test_figures_of_a_small_matrix():
    truth = ["yes"] * 4 + ["unknown"] * 16
    predicted = ["yes"] * 3 + ["unknown"] + ["unknown"] * 8 + ["yes"] * 8
    counts = metrics.count(truth, predicted, LABELS)
    assert counts.tolist() == [[3, 1, 0], [8, 8, 0], [0, 0, 0]]
    figures = metrics.describe(counts, LABELS, np.array([0.5, 0.5, 0.0]))
    assert figures["accuracy"] == 0.625  # the mean of recalls 0.75 and 0.5
    assert figures["accuracy_plain"] == 0.55
    # 1 / (0.25 / 4 + 0.25 / 16) = 12.8 clips count
    assert (figures["accuracy_low"], figures["accuracy_high"]) == pytest.approx((0.36176, 0.83053), abs=1e-5)
    assert figures["macro_f1"] == pytest.approx((6 / 15 + 16 / 25) / 2, abs=1e-5)
    assert figures["recalls"] == {"yes": 0.75, "unknown": 0.5, "silence": None}
    assert (figures["unknown_recall"], figures["silence_recall"], figures["clips"]) == (0.5, None, 20)


def test_a_strange_label_is_an_error():
    with pytest.raises(KeyError):
        metrics.count(["yes"], ["no"], LABELS)
