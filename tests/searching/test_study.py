"""A study of Optuna's: what a kill leaves is taken up, several processes share it, the median prunes."""

import pytest

from pipeline.searching.ranges import Choices, Range
from pipeline.searching.study import Pruned, Study

RANGES = {
    "training.rate": Range(low=0.001, high=0.1, log=True),
    "training.size": Range(low=8, high=64, step=8),
    "training.kind": Choices(choices=["adamw", "sgd", None]),
}
FIRST = {"training.rate": 0.01, "training.size": 16, "training.kind": None}


def study(folder, first=FIRST):
    return Study(folder, "0123", RANGES, seed=3, warmup=1, first=first)


def worth(values):
    return 1 - abs(values["training.rate"] - 0.02) - values["training.size"] / 1000


def run(study, trials):
    drawn = []
    while True:
        with study.next(trials) as trial:
            if trial is None:
                return drawn
            drawn.append(trial.values)
            trial.end(worth(trial.values), seconds=2.0)


def test_the_run_as_it_is_comes_first_and_draws_are_what_is_pasted(tmp_path):
    done = study(tmp_path)
    drawn = run(done, 9)
    assert drawn[0] == FIRST
    assert len(drawn) == 9
    for values in drawn:
        assert values.keys() == RANGES.keys()
        assert all(RANGES[key].holds(value) for key, value in values.items())
        assert float(f"{values['training.rate']:.4g}") == values["training.rate"]
        assert values["training.size"] % 8 == 0
    assert [row.number for row in done.rows()] == list(range(9))
    assert done.best().figure == max(worth(values) for values in drawn)
    assert {row.seconds for row in done.rows()} == {2.0}
    assert run(done, 9) == []
    assert len(run(done, 10)) == 1


def test_what_a_kill_left_goes_on_and_the_draws_are_those_of_a_search_that_was_not_killed(tmp_path):
    whole = run(study(tmp_path / "whole"), 6)
    killed, going_on = [], study(tmp_path / "killed")
    for number in range(6):
        if number in (1, 5):  # of those that are drawn at random, and of the sampler's
            with going_on.next(6) as trial:
                trial.report(1, 0.5)  # and dies
            going_on = study(tmp_path / "killed")
        with going_on.next(6) as again:
            assert (again.number, again.is_resumed) == (number, number in (1, 5))
            again.report(1, 0.5)
            again.end(worth(again.values), seconds=1.0)
        killed.append(again.values)
    assert killed == whole
    assert [row.epochs for row in going_on.rows()] == [1] * 6


def test_two_processes_have_different_trials(tmp_path):
    one, other = study(tmp_path), study(tmp_path)
    with one.next(3) as first, other.next(3) as second, one.next(3) as third, other.next(3) as none:
        assert [trial.number for trial in (first, second, third)] == [0, 1, 2]
        assert none is None
        assert [row.state for row in one.rows()] == ["running"] * 3


def test_the_median_prunes_after_the_first_trials_and_the_warm_up(tmp_path):
    done = study(tmp_path)
    for _ in range(5):
        with done.next(7) as trial:
            for epoch in (1, 2, 3):
                trial.report(epoch, 0.1 * epoch + 0.5)
            trial.end(0.8, seconds=1.0)
    with done.next(7) as trial:
        trial.report(1, 0.1)  # the warm-up
        with pytest.raises(Pruned):
            trial.report(2, 0.2)
        trial.end(None, seconds=1.0)
    with done.next(7) as trial:
        trial.end(None, seconds=0.5, note="diverged")
    pruned, diverged = done.rows()[-2:]
    assert (pruned.state, pruned.figure, pruned.epochs) == ("pruned", 0.2, 2)
    assert (diverged.state, diverged.figure, diverged.epochs) == ("diverged", None, 0)
    assert done.best().number == 0


@pytest.mark.parametrize(
    ("each", "inside", "outside"),
    [
        (Range(low=1, high=3), [1, 3, 2], [0, 4, True, None, "2"]),
        (Range(low=0, high=1), [0, 1, 1.0], [0.5]),  # a trial would have 0 in its place
        (Range(low=0.1, high=0.3), [0.1, 0.25], [0.05, "auto"]),
        (Range(low=64, high=256, step=32), [64, 96, 256], [100]),
        (Range(low=0.1, high=0.4, step=0.1), [0.1, 0.3, 0.4], [0.25]),
        (Choices(choices=["a", None]), ["a", None], ["b", 0]),
    ],
)
def test_what_a_range_holds(each, inside, outside):
    assert all(each.holds(value) for value in inside)
    assert not any(each.holds(value) for value in outside)


def test_the_run_s_own_values_are_not_rounded_and_a_drawn_one_stays_in_its_range(tmp_path):
    with study(tmp_path, {**FIRST, "training.rate": 0.00123456}).next(1) as trial:
        assert trial.values["training.rate"] == 0.00123456
    assert Range(low=0.5, high=0.99999).drawn(0.999987) == 0.99999
