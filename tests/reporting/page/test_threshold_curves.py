import numpy as np
import pytest

from pipeline import metrics
from pipeline.reporting.page import threshold_curves
from pipeline.scoring.thresholds import Thresholds
from tests.judged_clips import COMMANDS, LABELS, simulated
from tests.reporting.page.evidence import evidence_of

SHARES = np.full(12, 1 / 12)


@pytest.fixture(scope="module")
def evidence():
    table, truth, speakers = simulated(1, 40, bias=(-2.0, 0.0))
    return evidence_of(table.values, truth, labels=LABELS, speakers=speakers)


def drawn(evidence, chosen, seed=0):
    return threshold_curves.curves(evidence, tuple(COMMANDS), SHARES, chosen, np.random.default_rng(seed))


def test_a_point_is_the_accuracy_that_the_rule_would_have(evidence):
    line = drawn(evidence, {"unknown_from": 0.5, "silence_from": 0.5})["unknown"]
    for place in (20, 32, 40):
        point = line["points"][place]
        threshold = np.log(point["threshold"] / (1 - point["threshold"]))
        decided = Thresholds(0.0, threshold).decide(evidence.fine, COMMANDS)
        wanted = metrics.accuracy(metrics.confusion(evidence.truth, decided, 12), SHARES)
        assert point["accuracy"] == pytest.approx(wanted)
        assert point["low"] <= point["accuracy"] <= point["high"]


def test_where_unknown_is_too_hard_to_choose_the_best_lies_lower(evidence):
    line = drawn(evidence, {"unknown_from": 0.3, "silence_from": None})["unknown"]
    assert line["best_high"] < 0.5
    assert line["chosen"] == pytest.approx(0.3, abs=0.03)
    assert not line["is_argmax"]


def test_few_speakers_give_a_band_around_the_curve():
    table, truth, _ = simulated(1, 40)
    speakers = [str(number % 3) for number in range(len(truth))]
    line = drawn(evidence_of(table.values, truth, labels=LABELS, speakers=speakers), {})["unknown"]
    assert min(point["low"] for point in line["points"][20:40]) > 0.5


def test_without_a_choice_it_is_the_argmax(evidence):
    lines = drawn(evidence, {})
    assert lines["silence"]["is_argmax"]
    assert lines["silence"]["chosen"] == 0.5
    assert lines == drawn(evidence, {})
