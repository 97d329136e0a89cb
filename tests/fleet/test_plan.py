"""Which stages are handed out, which run here, and in which order."""

import pytest

from pipeline.fleet.cluster import keepers
from pipeline.fleet.plan import Plan

NEEDS = {
    "prepare": [],
    "train@a-0": ["prepare"],
    "train@a-1": ["prepare"],
    "train@b-0": ["prepare"],
    "predict@a": ["train@a-0", "train@a-1", "prepare"],
    "predict@b": ["train@b-0", "prepare"],
    "vote": ["predict@a", "predict@b"],
    "decide@a": ["predict@a"],
    "train_student@s-0": ["vote", "prepare"],
    "score": ["decide@a", "train_student@s-0"],
}
AWAY = [stage for stage in NEEDS if stage.startswith(("train", "predict"))]


@pytest.fixture
def plan():
    return Plan(NEEDS, AWAY)


def test_nothing_goes_out_before_its_inputs_are_there(plan):
    assert plan.to_hand_out() == []
    assert plan.to_run_here() == ["prepare"]
    plan.done.add("prepare")
    assert plan.to_run_here() == []
    assert plan.to_hand_out() == ["train@a-0", "train@a-1", "train@b-0"]


def test_what_waited_follows_as_soon_as_all_of_its_inputs_are_done(plan):
    plan.done |= {"prepare", "train@a-0"}
    plan.out.add("train@a-1")
    assert plan.to_hand_out() == ["train@b-0"]
    plan.out.clear()
    plan.done.add("train@a-1")
    assert plan.to_hand_out() == ["train@b-0", "predict@a"]


def test_here_runs_first_what_others_wait_for_and_the_rest_at_the_end(plan):
    plan.done |= {"prepare", "train@a-0", "train@a-1", "train@b-0", "predict@a"}
    plan.out.add("predict@b")
    assert plan.to_run_here() == []  # decide@a could, but nobody waits for it
    plan.out.clear()
    plan.done.add("predict@b")
    assert plan.to_run_here() == ["vote"]
    plan.done.add("vote")
    assert plan.to_hand_out() == ["train_student@s-0"]
    assert plan.to_run_here() == []
    plan.done.add("train_student@s-0")
    assert plan.to_run_here() == ["decide@a", "score"]


def test_stages_that_run_here_one_after_the_other_are_told_together():
    plan = Plan({"resolve": [], "check": ["resolve"], "train": ["check"], "report": ["train"]}, ["train"])
    assert plan.to_run_here() == ["resolve", "check"]


def test_a_failed_stage_stops_what_depends_on_it_and_nothing_else(plan):
    plan.done |= {"prepare", "train@a-0", "train@a-1"}
    plan.failed.add("train@b-0")
    assert plan.to_hand_out() == ["predict@a"]
    assert plan.blocked == ["predict@b", "vote", "train_student@s-0", "score"]
    plan.done.add("predict@a")
    assert plan.to_hand_out() == []
    assert plan.to_run_here() == ["decide@a"]


def test_of_stages_that_ran_here_the_first_that_is_out_of_date_has_failed():
    plan = Plan({"resolve": [], "check": ["resolve"], "download": ["check"], "train": ["download"]}, ["train"])
    plan.note_here(["resolve", "check", "download"], {"check", "download"})
    assert (plan.done, plan.failed, plan.blocked) == ({"resolve"}, {"check"}, ["download", "train"])


def test_begun_stages_go_to_the_machine_that_keeps_their_checkpoints():
    assert keepers({"one": ["train@a-0"], "two": ["train@a-1", "train@a-0"], "three": []}) == {
        "train@a-0": "one",
        "train@a-1": "two",
    }
    shared = ["train@a-0", "train@a-1"]
    assert keepers({"one": shared, "two": shared}) == keepers({"alone": shared}) == {}


def test_it_ends_when_nothing_is_left(plan):
    plan.done |= set(NEEDS)
    assert plan.to_hand_out() == plan.to_run_here() == plan.blocked == []
    assert sorted(plan.away) == sorted(AWAY)
