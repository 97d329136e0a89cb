import numpy as np
import pytest

from pipeline import params
from pipeline.errors import PipelineError
from pipeline.scoring import ensemble
from pipeline.scoring.ensemble import Ensemble
from pipeline.scoring.probabilities import Probabilities

LABELS = ["yes", "unknown", "silence"]
EVEN = np.full(3, 1 / 3)


def table(rows, clips=("a", "b"), labels=LABELS, run="", corpus="c"):
    return Probabilities(list(clips), list(labels), np.array(rows), run, corpus)


def test_vote_sums_aligned_and_mapped_probabilities():
    commands = table([[0.8, 0.2, 0.0], [0.0, 0.4, 0.6]])
    words = table(
        [[0.2, 0.2, 0.3, 0.3], [0.6, 0.1, 0.1, 0.2]], clips=("b", "a"), labels=("yes", "cat", "dog", "silence")
    )
    voted = ensemble.vote({"ast": commands, "words": words}, {"ast": 0.75, "words": 0.25}, ["yes"])
    assert (voted.clips, voted.labels, voted.run, voted.corpus) == (["a", "b"], LABELS, "ensemble", "c")
    assert voted.values == pytest.approx(np.array([[0.75, 0.2, 0.05], [0.05, 0.425, 0.525]]), abs=1e-6)


@pytest.mark.parametrize("other", [{"clips": ("a", "z")}, {"clips": ("a", "b", "d")}, {"corpus": "another"}])
def test_different_clips_or_corpora_are_refused(other):
    rows = [[1.0, 0.0, 0.0]] * len(other.get("clips", "ab"))
    with pytest.raises(PipelineError, match="'ast' and 'lstm' are of different clips or corpora"):
        ensemble.vote({"ast": table(rows[:2]), "lstm": table(rows, **other)}, {"ast": 0.5, "lstm": 0.5}, ["yes"])


def judges(right, seed, clips=300):
    """A run that is right with share `right`, as sure of its mistakes as of the rest, and the truth."""
    rng = np.random.default_rng(seed)
    truth = np.arange(clips) % 3
    given = np.where(rng.random(clips) < right, truth, (truth + rng.integers(1, 3, clips)) % 3)
    return table(0.1 + 0.7 * np.eye(3)[given], clips=[str(clip) for clip in range(clips)]), [LABELS[at] for at in truth]


def accuracy(judged, truth):
    return np.mean([LABELS[column] == label for column, label in zip(judged.values.argmax(axis=1), truth, strict=True)])


def test_weights_are_validation_accuracies():
    (good, truth), (poor, _) = judges(0.9, 0), judges(0.6, 1)
    tables = {"good": good, "poor": poor}
    weights = ensemble.weigh(Ensemble(sharpness=1), tables, truth, ["yes"], EVEN)
    assert weights["good"] / weights["poor"] == pytest.approx(accuracy(good, truth) / accuracy(poor, truth))
    assert sum(weights.values()) == pytest.approx(1)
    squared = ensemble.weigh(Ensemble(sharpness=2), tables, truth, ["yes"], EVEN)
    assert squared["good"] / squared["poor"] == pytest.approx((weights["good"] / weights["poor"]) ** 2)


def test_weights_do_not_depend_on_the_order_of_the_clips():
    (good, truth), (poor, _) = judges(0.9, 0), judges(0.6, 1)
    back = Probabilities(poor.clips[::-1], LABELS, poor.values[::-1], "poor", "c")
    settings = Ensemble(sharpness=1)
    straight = ensemble.weigh(settings, {"good": good, "poor": poor}, truth, ["yes"], EVEN)
    assert ensemble.weigh(settings, {"good": good, "poor": back}, truth, ["yes"], EVEN) == straight


def test_auto_keeps_plain_accuracy_where_the_vote_helps():
    tables = {f"run{seed}": judges(0.8, seed)[0] for seed in range(5)}
    truth = judges(0.8, 0)[1]
    auto = ensemble.weigh(Ensemble(), tables, truth, ["yes"], EVEN)
    assert auto == ensemble.weigh(Ensemble(sharpness=1), tables, truth, ["yes"], EVEN)
    voted = ensemble.vote(tables, auto, ["yes"])
    assert accuracy(voted, truth) > max(accuracy(judged, truth) for judged in tables.values()) + 0.05


def test_auto_sharpens_until_poor_runs_do_no_harm():
    good, truth = judges(0.95, 0)
    # Two that share their mistakes outvote the good one under plain weights.
    tables = {"good": good, "poor": judges(0.6, 1)[0], "same": judges(0.6, 1)[0]}
    plain = ensemble.weigh(Ensemble(sharpness=1), tables, truth, ["yes"], EVEN)
    auto = ensemble.weigh(Ensemble(), tables, truth, ["yes"], EVEN)
    assert accuracy(ensemble.vote(tables, plain, ["yes"]), truth) < accuracy(good, truth)
    assert accuracy(ensemble.vote(tables, auto, ["yes"]), truth) >= accuracy(good, truth)
    assert 0.5 < auto["good"] < 1


def test_given_and_equal_weights():
    tables = {"a": judges(0.9, 0)[0], "b": judges(0.6, 1)[0]}
    truth = judges(0.9, 0)[1]
    assert ensemble.weigh(Ensemble(weights="equal"), tables, truth, ["yes"], EVEN) == {"a": 0.5, "b": 0.5}
    given = ensemble.weigh(Ensemble(weights={"a": 3.0, "b": 1.0}), tables, truth, ["yes"], EVEN)
    assert given == {"a": 0.75, "b": 0.25}
    with pytest.raises(PipelineError, match="all 0"):
        ensemble.weigh(Ensemble(weights={"a": 0.0}), tables, truth, ["yes"], EVEN)


def test_members_are_all_runs_or_those_named():
    assert Ensemble().members(["ast", "lstm"]) == ["ast", "lstm"]
    assert Ensemble(runs=["lstm"]).members(["ast", "lstm"]) == ["lstm"]


@pytest.mark.parametrize(
    "settings", [{"runs": ["gru"]}, {"runs": []}, {"runs": ["ast", "ast"]}, {"weights": {"gru": 1}}]
)
def test_members_that_are_no_runs_are_refused(settings):
    with pytest.raises(PipelineError, match="section ensemble"):
        Ensemble(**settings).members(["ast", "lstm"])


@pytest.mark.parametrize("section", [{"weights": "best"}, {"weights": {"ast": -1}}, {"sharpness": "much"}, {"run": []}])
def test_bad_parameters_are_refused(section):
    with pytest.raises(PipelineError, match="section ensemble"):
        params.section({"ensemble": section}, "ensemble", Ensemble)
