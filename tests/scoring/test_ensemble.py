"""Who votes, and how it is chosen: judged on clips that had no say in it."""

import numpy as np
import pytest

from pipeline import params
from pipeline.errors import PipelineError
from pipeline.scoring import ensemble
from pipeline.scoring.nested import OutOfFold
from pipeline.scoring.probabilities import Probabilities
from pipeline.scoring.settings import Ensemble
from pipeline.scoring.voting_methods import VotingData
from tests.judged_clips import guessing_runs as judges

EVEN = np.full(3, 1 / 3)


def blocks(clips, count=5):
    """The block of each clip; each speaker says two."""
    return np.arange(clips) // 2 % count


def speakers(clips):
    return [str(clip // 2) for clip in range(clips)]


def member(table, nested=None):
    return OutOfFold(table, speakers(len(table.clips)), blocks(len(table.clips)), nested or {})


def evidence(tables, truth, settings):
    return VotingData.of(tables, truth, speakers(len(truth)), ["yes"], EVEN, settings.temperature)


def choose(settings, tables, truth):
    return ensemble.choose(settings, evidence(tables, truth, settings), blocks(len(truth)))


def vote(settings, tables, truth):
    members = {run: table if isinstance(table, OutOfFold) else member(table) for run, table in tables.items()}
    return ensemble.fit_vote(settings, members, truth, ["yes"], EVEN)


def accuracy(judged, truth):
    return np.mean(judged.values.argmax(axis=1) == truth)


def test_given_weights_and_the_mean():
    tables, truth = {"a": judges(0.9, 0)[0], "b": judges(0.6, 1)[0]}, judges(0.9, 0)[1]
    assert choose(Ensemble(weights="equal"), tables, truth).weights == {"a": 0.5, "b": 0.5}
    given = choose(Ensemble(weights={"a": 3.0, "b": 1.0}), tables, truth)
    assert (given.method, given.weights) == ("given", {"a": 0.75, "b": 0.25})
    with pytest.raises(PipelineError, match="all 0"):
        choose(Ensemble(weights={"a": 0.0}), tables, truth)
    tempered = choose(Ensemble(weights={"a": 1.0}, temperature=True), tables, truth)
    assert tempered.temperatures["a"] < 1 < tempered.temperatures["b"]


def test_given_weights_are_compared_with_the_mean_too():
    (good, truth), (poor, _) = judges(0.9, 0), judges(0.4, 1)
    told = vote(Ensemble(weights={"good": 0.1, "poor": 1.0}), {"good": good, "poor": poor}, truth).to_dict()["tried"]
    assert list(told) == ["equal", "given"]
    assert told["given"]["estimate"] < told["equal"]["estimate"]
    by = told["given"]["estimate"] - told["equal"]["estimate"]
    assert told["given"]["gain"]["value"] == pytest.approx(by, abs=1e-4)


@pytest.mark.parametrize("weights", ["accuracy", "greedy", "stacking", "best"])
def test_a_vote_is_judged_by_choices_that_its_clips_had_no_say_in(weights):
    settings = Ensemble(weights=weights, temperature=weights == "stacking")
    (good, truth), (poor, _) = judges(0.7, 0, 150), judges(0.65, 1, 150)
    poor_nested = {block: judges(0.65, block + 2, 150)[0] for block in range(5)}
    members, tables = {"good": member(good), "poor": member(poor, poor_nested)}, {"good": good, "poor": poor}
    fitted = vote(settings, members, truth)
    if weights != "best":
        assert fitted.combination == choose(settings, tables, truth)
    assert np.array_equal(fitted.out_of_fold.table.values, fitted.combination.vote(tables, ["yes"]).values)
    of = blocks(150)
    for block in range(5):
        own = {"good": good, "poor": poor_nested[block]}
        hidden = evidence(own, truth, settings).without(of == block)
        expected = ensemble.choose(settings, hidden, of).vote(own, ["yes"])
        assert np.array_equal(fitted.out_of_fold.without(block).values, expected.values)
    changed = np.where(of == 2, (truth + 1) % 3, truth)
    again = vote(settings, members, changed)
    assert np.array_equal(again.out_of_fold.without(2).values, fitted.out_of_fold.without(2).values)
    assert not np.array_equal(again.out_of_fold.without(1).values, fitted.out_of_fold.without(1).values)


def test_the_mean_stays_where_nothing_beats_it_for_sure():
    tables = {f"run{seed}": judges(0.8, 10 + seed)[0] for seed in range(3)}
    fitted = vote(Ensemble(), tables, judges(0.8, 0)[1])
    assert fitted.combination.weights == dict.fromkeys(tables, 1 / 3)
    assert list(fitted.tried) == ["equal", "accuracy", "greedy", "stacking", "best"]
    assert fitted.tried["equal"].gain is None
    assert not any(of.gain.is_sure for of in fitted.tried.values() if of.gain)


def test_what_beats_the_mean_on_clips_that_it_was_not_fitted_on_is_taken():
    # Two that share their mistakes outvote the good one in the mean.
    tables = {"good": judges(0.95, 0)[0], "poor": judges(0.6, 1)[0], "same": judges(0.6, 1)[0]}
    truth = judges(0.95, 0)[1]
    fitted = vote(Ensemble(), tables, truth)
    assert fitted.combination.method != "equal"
    chosen = fitted.tried[fitted.combination.method]
    assert chosen.gain.low > 0
    assert chosen.accuracy == max(of.accuracy for of in fitted.tried.values())
    assert fitted.tried["best"].accuracy == pytest.approx(accuracy(fitted.out_of_fold.nested_table(), truth))
    assert accuracy(fitted.out_of_fold.nested_table(), truth) > accuracy(
        vote(Ensemble(weights="equal"), tables, truth).out_of_fold.table, truth
    )
    assert fitted.combination.method in fitted.report()


def test_the_vote_is_compared_with_the_run_whose_own_estimate_is_the_best():
    tables = {f"run{seed}": judges(0.7 + 0.02 * seed, seed)[0] for seed in range(4)}
    truth = judges(0.7, 0)[1]
    fitted = vote(Ensemble(weights="equal"), tables, truth)
    run, compared = fitted.best_run
    alone = {name: accuracy(table, truth) for name, table in tables.items()}
    assert alone[run] == max(alone.values()) == pytest.approx(compared.accuracy)
    voted = accuracy(fitted.out_of_fold.nested_table(), truth)
    assert compared.gain.value == pytest.approx(voted - alone[run])
    told = fitted.to_dict()
    assert told["against_best_run"]["run"] == run
    assert set(told["against_best_run"]["gain"]) == {"value", "error", "low", "high"}
    assert f"best single run, {run}" in fitted.report()


def test_the_vote_is_compared_with_the_run_that_one_would_pick_without_the_clips():
    truth = np.arange(60) % 3
    best, picked, gains = [], [], []
    for draw in range(20):  # of runs that guess, the best was lucky; picked on other clips, it guesses
        guesses = {f"run{seed}": judges(1 / 3, 1000 + 100 * draw + seed, clips=60)[0] for seed in range(12)}
        fitted = vote(Ensemble(weights="equal"), guesses, truth)
        best.append(fitted.best_run[1].accuracy)
        picked.append(fitted.picked_run.accuracy)
        gains.append(fitted.picked_run.gain.value + picked[-1] - accuracy(fitted.out_of_fold.table, truth))
    assert np.mean(best) > 0.40
    assert np.mean(picked) == pytest.approx(1 / 3, abs=0.035)
    assert np.abs(gains).max() < 1e-9
    told = fitted.to_dict()["against_picked_run"]
    assert (told["estimate"], told["gain"]["value"]) == pytest.approx(
        (picked[-1], fitted.picked_run.gain.value), abs=1e-5
    )
    assert f"picked on other clips ({picked[-1]:.4f})" in fitted.report()


def test_in_each_block_the_picked_run_is_the_best_of_the_others():
    (right, truth), wrong, of = judges(1.0, 0, 150), judges(0.0, 0, 150)[0], blocks(150)
    assert (accuracy(right, truth), accuracy(wrong, truth)) == (1, 0)

    def right_where(there):
        values = np.where(there[:, None], right.values, wrong.values)
        return member(Probabilities(right.clips, right.labels, values))

    # Of the first block, whose clips speak for the other, the run is picked that is right in the rest.
    fitted = vote(Ensemble(weights="equal"), {"most": right_where(of > 0), "first": right_where(of == 0)}, truth)
    assert fitted.picked_run.accuracy == pytest.approx(0.8)


def test_a_run_may_be_called_as_a_method_is():
    truth = judges(0.7, 0)[1]
    tables = {"best": judges(0.9, 0)[0], "stacking": judges(0.5, 1)[0]}
    renamed = {"a": tables["best"], "b": tables["stacking"]}
    found, expected = (vote(Ensemble(), each, truth) for each in (tables, renamed))
    assert {name: of.accuracy for name, of in found.tried.items()} == {
        name: of.accuracy for name, of in expected.tried.items()
    }
    assert (found.best_run[0], found.best_run[1].accuracy) == ("best", expected.best_run[1].accuracy)


def test_a_run_alone_is_the_vote():
    table, truth = judges(0.8, 0)
    fitted = vote(Ensemble(), {"only": table}, truth)
    assert (fitted.combination.method, fitted.combination.weights) == ("equal", {"only": 1.0})
    assert fitted.best_run is None
    assert fitted.to_dict()["against_best_run"] is None


def test_a_vote_in_which_nothing_is_chosen_needs_no_nested_tables():
    good, truth = judges(0.9, 0)
    assert not vote(Ensemble(weights="equal"), {"a": good, "b": good}, truth).out_of_fold.nested


def test_where_all_clips_are_of_one_block_nothing_can_be_chosen_on_others():
    good, truth = judges(0.9, 0, clips=60)
    one = OutOfFold(good, speakers(60), np.zeros(60, np.int64))
    fitted = ensemble.fit_vote(Ensemble(), {"a": one, "b": one}, truth, ["yes"], EVEN)
    assert fitted.combination.method == "equal"
    assert fitted.picked_run is None
    assert "picked" not in fitted.report()


def test_the_luckiest_of_many_guessing_runs_is_judged_as_a_guess():
    chosen, nested = [], []
    truth = np.arange(60) % 3
    for draw in range(20):
        guesses = {f"run{seed}": judges(1 / 3, 1000 + 100 * draw + seed, clips=60)[0] for seed in range(12)}
        voted = vote(Ensemble(weights="accuracy", sharpness=100), guesses, truth).out_of_fold
        chosen.append(accuracy(voted.table, truth))
        nested.append(accuracy(voted.nested_table(), truth))
    assert np.mean(chosen) > 0.40
    assert np.mean(nested) == pytest.approx(1 / 3, abs=0.035)


def tags(seed, spread):
    rng = np.random.default_rng(seed)
    truth = np.random.default_rng(0).integers(0, 2, (200, 3)).astype(np.float32)
    values = np.clip(0.5 + (truth - 0.5) * 0.5 + rng.normal(0, spread, truth.shape), 0, 1)
    return Probabilities([str(clip) for clip in range(200)], ["a", "b", "c"], values, exclusive=False), truth


def test_of_tags_the_best_is_the_mean_and_other_methods_are_refused():
    members, truth = {"good": member(tags(1, 0.2)[0]), "poor": member(tags(2, 2.0)[0])}, tags(1, 0.2)[1]
    fitted = ensemble.fit_vote(Ensemble(), members, truth, None, None)
    assert fitted.combination.weights == {"good": 0.5, "poor": 0.5}
    assert (fitted.tried, fitted.best_run, fitted.report()) == ({}, None, "")
    weighed = ensemble.fit_vote(Ensemble(weights="accuracy"), members, truth, None, None)
    assert weighed.combination.weights["good"] > 0.6
    for settings in ({"weights": "greedy"}, {"weights": "stacking"}, {"temperature": True}):
        with pytest.raises(PipelineError, match=r"section vote: .* needs labels that exclude each other"):
            Ensemble(**settings).refuse_tags("vote")


def test_members_are_all_runs_or_those_named():
    assert Ensemble().members(["ast", "lstm"], "ensemble") == ["ast", "lstm"]
    assert Ensemble(runs=["lstm"]).members(["ast", "lstm"], "ensemble") == ["lstm"]


@pytest.mark.parametrize(
    "settings", [{"runs": ["gru"]}, {"runs": []}, {"runs": ["ast", "ast"]}, {"weights": {"gru": 1}}]
)
def test_members_that_are_no_runs_are_refused(settings):
    with pytest.raises(PipelineError, match="section ensemble"):
        Ensemble(**settings).members(["ast", "lstm"], "ensemble")


@pytest.mark.parametrize(
    "section", [{"weights": "worst"}, {"weights": {"ast": -1}}, {"sharpness": "much"}, {"run": []}]
)
def test_bad_parameters_are_refused(section):
    with pytest.raises(PipelineError, match="section ensemble"):
        params.section({"ensemble": section}, "ensemble", Ensemble)


def test_methods_are_compared_on_clips_that_they_were_not_fitted_on(monkeypatch):
    said, fit = [], ensemble.fit
    monkeypatch.setattr(
        ensemble,
        "fit",
        lambda method, seen, *more: said.append((method, seen.known.tolist())) or fit(method, seen, *more),
    )
    choose(Ensemble(), {f"run{seed}": judges(0.8, seed, 150)[0] for seed in range(3)}, judges(0.8, 0, 150)[1])
    *tried, (_, everything) = said
    of = blocks(150)
    assert tried == [
        (method, np.flatnonzero(of != block).tolist()) for block in range(5) for method in ensemble.METHODS
    ]
    assert everything == list(range(150))
