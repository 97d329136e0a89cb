import os
import time

import pytest
import yaml

from pipeline import params
from pipeline.files import write_json
from pipeline.jobs import watching
from pipeline.layout import Layout

TREE = {
    "seed": 1,
    "folds": [0, 1],
    "download": {"source": "demo"},
    "runs": {
        "net": {"model": "gru", "training": {"epochs": 10}},
        "other": {"model": "gru"},
        "broken": {"model": "none"},
    },
}


@pytest.fixture
def layout(tmp_path):
    layout = Layout(tmp_path)
    layout.params.write_text(yaml.safe_dump(TREE))
    return layout


def begin(layout, run, fold, epochs, seconds, ago):
    """Leave what a training has left that has taken `seconds`, and ended its last epoch `ago` seconds before."""
    work = layout.run(run).work(fold) / "0123456789abcdef"
    curve = work / "live" / "plots" / "metrics" / "train" / "loss.tsv"
    curve.parent.mkdir(parents=True)
    curve.write_text("step\tloss\n" + "".join(f"{epoch}\t{1 / epoch}\n" for epoch in range(1, epochs + 1)) + "5\t")
    os.utime(curve, (time.time() - ago,) * 2)
    write_json(work / "seconds.json", {"seconds": seconds})
    return work


def test_a_training_tells_how_far_it_is_and_what_is_left(layout):
    begin(layout, "net", 1, epochs=4, seconds=50.0, ago=10.0)
    (layout.run("net").model(0)).mkdir(parents=True)
    (layout.run("net").model(0) / "run.json").write_text("{}")
    state = watching.now(layout, params.read(layout.params))
    assert (state["done"], state["all"]) == (1, 6)
    (training,) = state["trainings"]
    assert (training["run"], training["fold"], training["epoch"], training["epochs"]) == ("net", 1, 4, 10)
    assert training["left"] == pytest.approx(40 / 4 * 10 - 50, abs=4)  # ten seconds an epoch
    assert training["still"] is None
    assert len(training["charts"]["loss"]) == 4  # the half line at the end is being written
    assert 0 <= state["load"]["memory"] <= 1


def test_a_training_whose_clock_is_silent_stands_still(layout):
    work = begin(layout, "net", 0, epochs=2, seconds=20.0, ago=100.0)
    os.utime(work / "seconds.json", (time.time() - 90,) * 2)
    (training,) = watching.now(layout, params.read(layout.params))["trainings"]
    assert training["still"] == pytest.approx(90, abs=2)
    assert training["left"] is None


def test_what_another_training_left_is_nothing_beside_a_result(layout):
    work = begin(layout, "net", 0, epochs=2, seconds=20.0, ago=100.0)
    write_json(layout.run("net").model(0) / "run.json", {})
    assert watching.now(layout, params.read(layout.params))["trainings"]  # it goes on
    os.utime(work / "seconds.json", (time.time() - 90,) * 2)
    state = watching.now(layout, params.read(layout.params))
    assert (state["done"], state["trainings"]) == (1, [])


def test_a_detector_s_epochs_are_to_come_yet(layout):
    tree = {**TREE, "runs": {"net": {**TREE["runs"]["net"], "detector": {"model": "gru", "training": {"epochs": 6}}}}}
    layout.params.write_text(yaml.safe_dump(tree))
    work = begin(layout, "net", 0, epochs=10, seconds=50.0, ago=10.0)
    (training,) = watching.now(layout, tree)["trainings"]
    assert (training["epoch"], training["epochs"]) == (10, 16)
    assert training["left"] > 10
    curve = work / "live" / "detector" / "plots" / "metrics" / "train" / "loss.tsv"
    curve.parent.mkdir(parents=True)
    curve.write_text("step\tloss\n1\t1.0\n2\t0.5\n")
    (training,) = watching.now(layout, tree)["trainings"]
    assert training["epoch"] == 12


def test_a_training_that_ends_at_this_moment_is_no_error(layout, monkeypatch):
    begin(layout, "net", 0, epochs=2, seconds=20.0, ago=1.0)

    def gone(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr(watching, "read_json", gone)
    assert watching.now(layout, params.read(layout.params))["trainings"] == []


def test_epochs_that_the_file_does_not_say_are_the_model_s_own(layout):
    assert watching.epochs_of(layout.params, 0, "other") == 10
    assert watching.epochs_of(layout.params, 0, "broken") is None
    half = {"seed": 1, "runs": {"net": {"model": "none", "training": None}}}  # as somebody types
    write_json(layout.params, half)
    assert watching.epochs_of(layout.params, 1, "net") is None


def test_the_version_changes_with_what_the_page_tells(layout):
    before = watching.version(layout)
    assert watching.version(layout) == before
    write_json(layout.submission("net") / "metrics.json", {})
    assert watching.version(layout) != before
