"""Every way of combining runs, fitted on clips whose truth is known."""

import numpy as np
import pytest

from pipeline.scoring.combination import Combination
from pipeline.scoring.probabilities import Probabilities
from pipeline.scoring.voting_methods import VotingData, fit
from tests.judged_clips import guessing_runs as judges

LABELS = ["yes", "unknown", "silence"]
EVEN = np.full(3, 1 / 3)


def evidence(tables, truth, shares=EVEN, finest=False):
    return VotingData.of(tables, truth, [str(clip // 2) for clip in range(len(truth))], ["yes"], shares, finest)


def accuracy(judged, truth):
    return np.mean(judged.values.argmax(axis=1) == truth)


def weigh(tables, truth, sharpness="auto"):
    return fit("accuracy", evidence(tables, truth), sharpness).weights


def test_weights_are_validation_accuracies():
    (good, truth), (poor, _) = judges(0.9, 0), judges(0.6, 1)
    tables = {"good": good, "poor": poor}
    weights = weigh(tables, truth, 1)
    assert weights["good"] / weights["poor"] == pytest.approx(accuracy(good, truth) / accuracy(poor, truth))
    assert sum(weights.values()) == pytest.approx(1)
    squared = weigh(tables, truth, 2)
    assert squared["good"] / squared["poor"] == pytest.approx((weights["good"] / weights["poor"]) ** 2)


def test_weights_do_not_depend_on_the_order_of_the_clips():
    (good, truth), (poor, _) = judges(0.9, 0), judges(0.6, 1)
    back = Probabilities(poor.clips[::-1], LABELS, poor.values[::-1], "poor", "c")
    tables, turned = {"good": good, "poor": poor}, {"good": good, "poor": back}
    for method in ("accuracy", "greedy", "stacking"):
        assert fit(method, evidence(turned, truth)).weights == fit(method, evidence(tables, truth)).weights


def test_auto_keeps_plain_accuracy_where_the_vote_helps():
    tables = {f"run{seed}": judges(0.8, seed)[0] for seed in range(5)}
    truth = judges(0.8, 0)[1]
    auto = weigh(tables, truth)
    assert auto == weigh(tables, truth, 1)
    voted = Combination("given", auto).vote(tables, ["yes"])
    assert accuracy(voted, truth) > max(accuracy(judged, truth) for judged in tables.values()) + 0.05


def test_auto_sharpens_until_poor_runs_do_no_harm():
    good, truth = judges(0.95, 0)
    # Two that share their mistakes outvote the good one under plain weights.
    tables = {"good": good, "poor": judges(0.6, 1)[0], "same": judges(0.6, 1)[0]}
    plain = weigh(tables, truth, 1)
    auto = weigh(tables, truth)
    assert accuracy(Combination("given", plain).vote(tables, ["yes"]), truth) < accuracy(good, truth)
    assert accuracy(Combination("given", auto).vote(tables, ["yes"]), truth) >= accuracy(good, truth)
    assert 0.5 < auto["good"] < 1


def test_runs_that_recognise_nothing_weigh_the_same_and_a_note_says_so():
    wrong, truth = judges(0.0, 0)
    for sharpness in ("auto", 1, 4):
        found = fit("accuracy", evidence({"a": wrong, "b": wrong}, truth), sharpness)
        assert found.weights == {"a": 0.5, "b": 0.5}
        assert "all weigh the same" in found.note


@pytest.mark.parametrize("method", ["accuracy", "greedy", "stacking"])
@pytest.mark.parametrize(("truth", "shares"), [(-1, EVEN), (-1, None), (0, np.array([0.0, 0.5, 0.5]))])
def test_without_a_clip_that_counts_all_weigh_the_same(method, truth, shares):
    table = judges(0.9, 0)[0]
    found = fit(method, evidence({"a": table, "b": table}, np.full(300, truth), shares))
    assert (found.method, found.weights) == ("equal", {"a": 0.5, "b": 0.5})
    assert "all weigh the same" in found.note


@pytest.mark.parametrize("method", ["accuracy", "greedy", "stacking"])
def test_clips_of_unknown_truth_have_no_say(method):
    (good, truth), (poor, _) = judges(0.7, 0), judges(0.65, 1)
    tables = {"good": good, "poor": poor}
    everything = evidence(tables, truth)
    half = everything.without(np.arange(300) >= 150)
    first = {run: judged.select(np.arange(150)) for run, judged in tables.items()}
    assert fit(method, half).weights == pytest.approx(fit(method, evidence(first, truth[:150])).weights)
    assert fit(method, half).weights != fit(method, everything).weights


@pytest.mark.parametrize("method", ["greedy", "stacking"])
def test_the_better_run_weighs_more(method):
    (good, truth), (poor, _) = judges(0.9, 0), judges(0.6, 1)
    found = fit(method, evidence({"good": good, "poor": poor}, truth))
    assert found.method == method
    assert found.weights["good"] > 1.5 * found.weights["poor"]
    assert (found.bias is not None) == (method == "stacking")


def test_each_run_gets_the_temperature_of_its_own_labels():
    good, truth = judges(0.9, 0)
    halves = good.values[:, [0, 1, 1, 2]] * [1, 0.5, 0.5, 1]
    words = Probabilities(good.clips, ["yes", "cat", "dog", "silence"], halves, corpus="c")
    found = fit("equal", evidence({"good": good, "words": words}, truth, finest=True), temper=True)
    # Right of 90 %, and 80 % sure.
    assert 0.5 < found.temperatures["good"] < 0.9
    assert found.temperatures["words"] != found.temperatures["good"]
    assert fit("equal", evidence({"good": good}, truth)).temperatures == {}


def test_of_several_labels_the_mean_average_precision_weighs():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, (200, 3)).astype(np.float32)
    clips = [str(clip) for clip in range(200)]
    good, poor = (
        Probabilities(
            clips,
            LABELS,
            np.clip(0.5 + (truth - 0.5) * 0.5 + rng.normal(0, spread, truth.shape), 0, 1),
            exclusive=False,
        )
        for spread in (0.2, 2.0)
    )
    truth[:20] = np.nan
    tags = VotingData.of({"good": good, "poor": poor}, truth, clips, None, None, finest=False)
    found = fit("accuracy", tags, temper=True)
    assert found.weights["good"] > 0.6
    assert (found.note, found.temperatures) == ("", {})


def test_the_clips_of_a_label_count_together_as_its_share():
    truth, shares = np.array([0] * 6 + [1] * 3 + [2] + [-1] * 2), np.array([0.5, 0.2, 0.3])
    judged = evidence({"a": judges(0.9, 0, clips=12)[0]}, truth, shares)
    weights = judged.clip_weights(judged.known)
    assert np.bincount(truth[judged.known], weights) == pytest.approx(shares)
    assert weights[:6] == pytest.approx([0.5 / 6] * 6)
