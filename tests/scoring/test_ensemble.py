import numpy as np
import pytest

from pipeline import params
from pipeline.errors import PipelineError
from pipeline.scoring import ensemble
from pipeline.scoring.ensemble import Ensemble
from pipeline.scoring.nested import OutOfFold
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
    return table(0.1 + 0.7 * np.eye(3)[given], clips=[str(clip) for clip in range(clips)]), truth


def accuracy(judged, truth):
    return np.mean(judged.values.argmax(axis=1) == truth)


def weigh(settings, tables, truth):
    return ensemble.weigh(settings, tables, truth, ["yes"], EVEN)[0]


def test_weights_are_validation_accuracies():
    (good, truth), (poor, _) = judges(0.9, 0), judges(0.6, 1)
    tables = {"good": good, "poor": poor}
    weights = weigh(Ensemble(sharpness=1), tables, truth)
    assert weights["good"] / weights["poor"] == pytest.approx(accuracy(good, truth) / accuracy(poor, truth))
    assert sum(weights.values()) == pytest.approx(1)
    squared = weigh(Ensemble(sharpness=2), tables, truth)
    assert squared["good"] / squared["poor"] == pytest.approx((weights["good"] / weights["poor"]) ** 2)


def test_weights_do_not_depend_on_the_order_of_the_clips():
    (good, truth), (poor, _) = judges(0.9, 0), judges(0.6, 1)
    back = Probabilities(poor.clips[::-1], LABELS, poor.values[::-1], "poor", "c")
    settings = Ensemble(sharpness=1)
    straight = weigh(settings, {"good": good, "poor": poor}, truth)
    assert weigh(settings, {"good": good, "poor": back}, truth) == straight


def test_auto_keeps_plain_accuracy_where_the_vote_helps():
    tables = {f"run{seed}": judges(0.8, seed)[0] for seed in range(5)}
    truth = judges(0.8, 0)[1]
    auto = weigh(Ensemble(), tables, truth)
    assert auto == weigh(Ensemble(sharpness=1), tables, truth)
    voted = ensemble.vote(tables, auto, ["yes"])
    assert accuracy(voted, truth) > max(accuracy(judged, truth) for judged in tables.values()) + 0.05


def test_auto_sharpens_until_poor_runs_do_no_harm():
    good, truth = judges(0.95, 0)
    # Two that share their mistakes outvote the good one under plain weights.
    tables = {"good": good, "poor": judges(0.6, 1)[0], "same": judges(0.6, 1)[0]}
    plain = weigh(Ensemble(sharpness=1), tables, truth)
    auto = weigh(Ensemble(), tables, truth)
    assert accuracy(ensemble.vote(tables, plain, ["yes"]), truth) < accuracy(good, truth)
    assert accuracy(ensemble.vote(tables, auto, ["yes"]), truth) >= accuracy(good, truth)
    assert 0.5 < auto["good"] < 1


def test_given_and_equal_weights():
    tables = {"a": judges(0.9, 0)[0], "b": judges(0.6, 1)[0]}
    truth = judges(0.9, 0)[1]
    assert weigh(Ensemble(weights="equal"), tables, truth) == {"a": 0.5, "b": 0.5}
    given = weigh(Ensemble(weights={"a": 3.0, "b": 1.0}), tables, truth)
    assert given == {"a": 0.75, "b": 0.25}
    with pytest.raises(PipelineError, match="all 0"):
        weigh(Ensemble(weights={"a": 0.0}), tables, truth)


def test_runs_that_recognise_nothing_weigh_the_same_and_a_note_says_so():
    wrong, truth = judges(0.0, 0)
    for sharpness in ("auto", 1, 4):
        weights, note = ensemble.weigh(Ensemble(sharpness=sharpness), {"a": wrong, "b": wrong}, truth, ["yes"], EVEN)
        assert weights == {"a": 0.5, "b": 0.5}
        assert "all weigh the same" in note
    assert ensemble.weigh(Ensemble(weights="equal"), {"a": wrong}, truth, ["yes"], EVEN) == ({"a": 1.0}, "")


def test_clips_of_unknown_truth_have_no_say():
    (good, truth), (poor, _) = judges(0.9, 0), judges(0.6, 1)
    tables = {"good": good, "poor": poor}
    half = np.where(np.arange(300) < 150, truth, -1)
    first = {run: judged.select(np.arange(150)) for run, judged in tables.items()}
    assert weigh(Ensemble(), tables, half) == weigh(Ensemble(), first, truth[:150])


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
    weights, note = ensemble.weigh(Ensemble(), {"good": good, "poor": poor}, truth, None, None)
    assert weights["good"] > 0.6
    assert note == ""


def blocks(clips, count=5):
    return np.arange(clips) % count


def test_a_vote_is_judged_by_weights_that_its_clips_had_no_say_in():
    (good, truth), (poor, _) = judges(0.9, 0), judges(0.6, 1)
    clips, of = good.clips, blocks(300)
    poor_nested = {block: judges(0.6, block + 2)[0] for block in range(5)}
    members = {"good": OutOfFold(good, clips, of), "poor": OutOfFold(poor, clips, of, poor_nested)}
    fitted = ensemble.fit_vote(Ensemble(), members, truth, ["yes"], EVEN)
    tables = {"good": good, "poor": poor}
    assert fitted.weights == weigh(Ensemble(), tables, truth)
    assert np.array_equal(fitted.out_of_fold.table.values, ensemble.vote(tables, fitted.weights, ["yes"]).values)
    assert (fitted.out_of_fold.speakers, fitted.note) == (clips, "")
    for block in range(5):
        own = {"good": good, "poor": poor_nested[block]}
        others = np.where(of == block, -1, truth)
        expected = ensemble.vote(own, weigh(Ensemble(), own, others), ["yes"])
        assert np.array_equal(fitted.out_of_fold.without(block).values, expected.values)
    changed = np.where(of == 2, (truth + 1) % 3, truth)
    again = ensemble.fit_vote(Ensemble(), members, changed, ["yes"], EVEN)
    assert np.array_equal(again.out_of_fold.without(2).values, fitted.out_of_fold.without(2).values)
    assert not np.array_equal(again.out_of_fold.table.values, fitted.out_of_fold.table.values)


def test_a_vote_in_which_nothing_is_chosen_needs_no_nested_tables():
    good, truth = judges(0.9, 0)
    members = {run: OutOfFold(good, good.clips, blocks(300)) for run in "ab"}
    assert not ensemble.fit_vote(Ensemble(weights="equal"), members, truth, ["yes"], EVEN).out_of_fold.nested


def test_the_luckiest_of_many_guessing_runs_is_judged_as_a_guess():
    chosen, nested = [], []
    truth = np.arange(60) % 3
    for draw in range(20):
        guesses = {f"run{seed}": judges(1 / 3, 100 * draw + seed, clips=60)[0] for seed in range(12)}
        members = {run: OutOfFold(guess, guess.clips, blocks(60)) for run, guess in guesses.items()}
        voted = ensemble.fit_vote(Ensemble(sharpness=100), members, truth, ["yes"], EVEN).out_of_fold
        chosen.append(accuracy(voted.table, truth))
        nested.append(accuracy(voted.nested_table(), truth))
    assert np.mean(chosen) > 0.40
    assert np.mean(nested) == pytest.approx(1 / 3, abs=0.035)


WORDS = ["cat", "dog", "yes", "silence"]


def test_words_share_what_a_member_without_words_gives_to_unknown():
    words = table([[0.3, 0.1, 0.5, 0.1], [0.0, 0.0, 0.9, 0.1]], labels=WORDS)
    commands = table([[0.2, 0.6, 0.2], [0.5, 0.4, 0.1]], clips=("a", "b"))
    tables, weights = {"words": words, "ast": commands}, {"words": 0.25, "ast": 0.75}
    voted = ensemble.vote_words(tables, weights, ["yes"])
    assert (voted.labels, voted.clips) == (WORDS, ["a", "b"])
    # Of clip a, three quarters of unknown are the cat's; of b nobody knows, so both words get the same.
    expected = [
        [0.25 * 0.3 + 0.75 * 0.45, 0.25 * 0.1 + 0.75 * 0.15, 0.25 * 0.5 + 0.75 * 0.2, 0.25 * 0.1 + 0.75 * 0.2],
        [0.75 * 0.2, 0.75 * 0.2, 0.25 * 0.9 + 0.75 * 0.5, 0.25 * 0.1 + 0.75 * 0.1],
    ]
    assert voted.values == pytest.approx(np.array(expected), abs=1e-6)
    summed = voted.to_submission_labels(["yes"]).values
    assert summed == pytest.approx(ensemble.vote(tables, weights, ["yes"]).values, abs=1e-6)


@pytest.mark.parametrize("weights", [{"ast": 0.5, "a": 0.2, "b": 0.3}, {"ast": 1.0, "a": 0.0, "b": 0.0}])
def test_a_vote_over_words_summed_is_the_vote_over_the_submissions_labels(weights):
    rng = np.random.default_rng(0)
    clips = [str(clip) for clip in range(50)]
    tables = {
        "ast": table(rng.dirichlet(np.ones(3), 50), clips),
        "a": table(rng.dirichlet(np.ones(4) / 4, 50), clips, WORDS),
        "b": table(rng.dirichlet(np.ones(4) / 4, 50), clips[::-1], WORDS),
    }
    voted = ensemble.vote_words(tables, weights, ["yes"])
    assert voted.labels == WORDS
    assert voted.to_submission_labels(["yes"]).values == pytest.approx(
        ensemble.vote(tables, weights, ["yes"]).values, abs=1e-6
    )
    only = {run: tables[run] for run in ("ast",)}
    assert ensemble.vote_words(only, {"ast": 1.0}, ["yes"]).labels == LABELS


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
