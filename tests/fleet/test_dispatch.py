"""Stages go to a machine and their results come back: all but Ray, which test_cluster.py has."""

import io
import json
import multiprocessing
import time
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from pipeline.errors import PipelineError
from pipeline.fleet import remote_stage
from pipeline.fleet.dispatch import Dispatch, progress
from pipeline.fleet.plan import Plan
from pipeline.fleet.project import Project
from pipeline.fleet.settings import Fleet
from tests.fleet import small_project
from tests.fleet.one_machine import OneMachine

VERBS = ("train", "predict")
ALL = ["prepare", "train@a-0", "train@b-0", "predict@a", "predict@b", "decide@a", "decide@b"]
LOGS = Path("artifacts/fleet")


@pytest.fixture(autouse=True)
def root(monkeypatch, tmp_path):
    """A small project, in which this process is; `python`, which its stages call, is this Python."""
    monkeypatch.setenv("PATH", small_project.PYTHON, prepend=":")
    root = small_project.make(tmp_path)
    monkeypatch.chdir(root)
    return root


def dispatched(machine):
    """Run a fleet of the project; return the stages that the machine was handed."""
    machine.handed_out.clear()
    Dispatch(Project(Path(), None, patience_s=0), machine, Fleet(), VERBS, LOGS).run()
    return machine.handed_out


def test_each_start_does_what_is_left_and_a_failed_stage_stops_what_needs_it(root, tmp_path, capfd):
    machine = OneMachine(tmp_path / "machine")
    machine.is_heard = False
    with pytest.raises(ConnectionError):
        dispatched(machine)
    assert machine.handed_out == ["train@a-0", "train@b-0"]
    assert small_project.ends(root) == ["prepare", "train-a-0"]

    # What the lost start had finished is in the remote.
    machine = OneMachine(tmp_path / "another machine")
    small_project.configure(root, broken=["b"])
    with pytest.raises(PipelineError, match=r"Failed: train@b-0\.(.|\n)*depend on these: predict@b, decide@b\n"):
        dispatched(machine)
    assert machine.handed_out == ["train@b-0", "predict@a"]
    assert small_project.ends(root) == ["prepare", "train-a-0", "predict-a", "decide-a"]
    said = capfd.readouterr().out
    assert "predict@a: done in" in said
    assert "train@b-0: failed after" in said
    assert "error: the net diverged" in said
    assert "error: the net diverged" in (LOGS / "train@b-0.log").read_text()
    assert "working predict a" in (LOGS / "predict@a.log").read_text()
    # How long it took is noted here, where the page reads it.
    assert json.loads(Path("artifacts/timing/a/predict.json").read_text()) == {"seconds": 1.5}

    small_project.configure(root, broken=[])
    assert dispatched(machine) == ["train@b-0", "predict@b"]
    assert small_project.ends(root)[4:] == ["train-b-0", "predict-b", "decide-b"]
    assert Project(Path(), None, 0).changed(ALL) == []
    # A machine keeps its cache, and nothing of what is done.
    assert not [*(machine.folder / "copies").iterdir(), *(machine.folder / "begun").iterdir()]


def test_a_remote_that_fails_after_a_training_loses_nothing(root, tmp_path):
    machine = OneMachine(tmp_path / "machine")
    small_project.configure(root, runs=["a"], breaks=["a"])
    with pytest.raises(PipelineError, match=r"Failed: train@a-0\."):
        dispatched(machine)
    assert small_project.ends(root) == ["prepare", "train-a-0"]
    log = (LOGS / "train@a-0.log").read_text()
    assert "error: The remote 'storage' does not take what is done, asked from " in log
    assert "Traceback" not in log
    assert remote_stage.survey(str(machine.folder)) == ["train@a-0"]

    (tmp_path / "storage").unlink()
    (tmp_path / "away").rename(tmp_path / "storage")
    assert dispatched(machine) == ["train@a-0", "predict@a"]
    assert small_project.ends(root)[2:] == ["predict-a", "decide-a"]


def test_a_stage_ends_with_the_process_that_began_it(root, tmp_path):
    """Ray may kill that process at any time; a training that went on would hold its lock, and a GPU."""
    small_project.configure(root, runs=["a"], slow=["a"])
    project = Project(Path(), None, patience_s=0)
    project.run("prepare")
    project.give(["prepare"])
    machine = OneMachine(tmp_path / "machine")
    dispatch = Dispatch(project, machine, Fleet(), VERBS, LOGS)
    dispatch.plan.done.add("prepare")
    began = multiprocessing.get_context("fork").Process(target=dispatch.run)
    began.start()
    while small_project.ends(root) in ([], ["prepare"]):
        assert began.is_alive()
        time.sleep(0.02)
    stage = psutil.Process(int((tmp_path / "ends").read_text()))
    (worker,) = (each for each in stage.parents() if "pipeline.fleet.worker" in each.cmdline())
    began.kill()
    began.join()
    _, alive = psutil.wait_procs([stage, worker], timeout=20)
    assert not alive


def test_what_works_is_seen_though_more_waits_than_the_terminal_has_lines():
    needs = {"prepare": set()} | {f"train@net-{fold}": {"prepare"} for fold in range(50)}
    plan = Plan(needs, [stage for stage in needs if stage != "prepare"])
    plan.done, plan.out = {"prepare", "train@net-0"}, {f"train@net-{fold}" for fold in range(1, 50)}
    text = io.StringIO()
    console = Console(file=text, width=100, height=24)
    console.print(progress(plan, {"train@net-9": ("gpu1", "epoch 7 of 30")}))
    bar, at_work, waiting = text.getvalue().splitlines()
    assert bar.split()[-3:] == ["1", "of", "50"]
    assert at_work.split() == ["train@net-9", "gpu1", "epoch", "7", "of", "30"]
    assert waiting.split() == ["48", "more", "waiting", "for", "a", "machine"]
