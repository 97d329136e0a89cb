"""What `dvc repro` watches: each change of params.yaml or of the code is seen by the stages that it concerns alone."""

import copy
import shutil
from pathlib import Path

import pytest

from pipeline import code
from pipeline.errors import PipelineError
from pipeline.files import read_json, write_json
from pipeline.layout import Layout
from pipeline.stages import resolve

TREE = {
    "seed": 1,
    "folds": [0, 1],
    "download": {"source": "demo"},
    "prepare": {"folds": 2},
    "encode": {},
    "train": {"training": {"epochs": 2}},
    "runs": {
        "net": {"model": "linear"},
        "same": {"like": "net", "reported": 0.9},
        "apart": {"model": "linear", "detector": {"model": "gru"}},
    },
    "students": {"pupil": {"like": "net", "pseudo_labels": {"minimum": 0.5}}},
    "decide": {},
    "ensemble": {},
}


@pytest.fixture
def resolved(tmp_path):
    """`resolved(change)`: artifacts/params.json after a change to the parameters."""

    def run(change=lambda tree: None):
        tree = copy.deepcopy(TREE)
        change(tree)
        write_json(Layout(tmp_path).params, tree)  # JSON is YAML
        resolve.main(Layout(tmp_path))
        return read_json(Layout(tmp_path).resolved)

    return run


def changed(before, after):
    """Return the dotted names of what differs, as dvc.yaml writes them; two levels deep."""
    found = set()
    for section in before.keys() | after.keys():
        one, other = before.get(section), after.get(section)
        if one == other:
            continue
        if isinstance(one, dict) and isinstance(other, dict):
            found |= {f"{section}.{key}" for key in one.keys() | other.keys() if one.get(key) != other.get(key)}
        else:
            found.add(section)
    return found


@pytest.mark.parametrize(
    ("change", "concerned"),
    [
        (lambda tree: tree["runs"]["net"].update(reported="0.97"), set()),
        (lambda tree: tree["runs"]["net"].update(training={"epochs": 2}), set()),  # as all have
        (lambda tree: tree["runs"].update(same={"model": "linear"}), set()),
        (lambda tree: tree.update(submit={}), set()),
        (lambda tree: tree.update(vote={}), set()),
        (lambda tree: tree["runs"]["net"].update(training={"epochs": 3}), {"runs.net", "runs.same", "students.pupil"}),
        (lambda tree: tree["runs"]["same"].update(vocabulary="words"), {"runs.same", "tasks.same"}),
        (lambda tree: tree["runs"]["apart"]["detector"].update(parameters={"hidden": 4}), {"runs.apart"}),
        (lambda tree: tree["students"]["pupil"].update(pseudo_labels={"minimum": 0.6}), {"students.pupil"}),
        (lambda tree: tree.update(decide={"rule": "none"}), {"decide.rule"}),
        (lambda tree: tree.update(decide={"prior": {"yes": 1.0}}), {"decide.prior", "prior"}),
        (lambda tree: tree.update(folds=[0]), {"folds"}),
        (lambda tree: tree.update(seed=2), {"seed"}),
    ],
)
def test_a_change_concerns_what_it_changes(change, concerned, resolved):
    assert changed(resolved(), resolved(change)) == concerned


def test_a_student_s_labels_and_its_training_are_apart(resolved):
    before = resolved()["students"]["pupil"]
    after = resolved(lambda tree: tree["students"]["pupil"].update(training={"epochs": 3}))["students"]["pupil"]
    assert before["pseudo_labels"] == after["pseudo_labels"] == {"minimum": 0.5}
    assert before["training"] != after["training"]


@pytest.fixture
def edit(monkeypatch, tmp_path):
    """`edit("models/gru.py")`: another comment in a file of a copy of the code, which is then the one that is seen."""
    copied = tmp_path / "copy" / "pipeline"
    shutil.copytree(code.ROOT, copied, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code, "ROOT", copied)

    def forget():
        code._source.cache_clear()
        code._imported.cache_clear()

    def run(file):
        with (copied / file).open("a") as source:
            source.write("\n# another comment\n")
        forget()

    forget()
    yield run
    forget()


PREDICTS = {"code_of_predict.net", "code_of_predict.same", "code_of_predict.apart", "code_of_predict.pupil"}
TRAINS = {"runs.net", "runs.same", "runs.apart", "students.pupil"}


@pytest.mark.parametrize(
    ("file", "concerned"),
    [
        ("listening/gate.py", set()),
        ("stages/submit.py", set()),
        ("models/ast.py", set()),  # no run has it
        ("models/gru.py", {"runs.apart", "code_of_predict.apart", "code.check"}),
        ("models/linear.py", TRAINS | PREDICTS | {"code.check"}),
        ("sources/demo.py", {"code.download", "code.prepare"}),
        ("sources/kaggle.py", set()),
        ("stages/score.py", {"code.score"}),
        ("stages/predict.py", PREDICTS),
        ("stages/encode.py", {"code.encode"}),
        ("clips/preparation.py", {"code.prepare", "code.check"}),
        ("reporting/confusion.py", {"code.decide", "code.ensemble", "code.score"}),
    ],
)
def test_an_edit_of_the_code_concerns_the_stages_that_run_it(file, concerned, resolved, edit):
    before = resolved()
    edit(file)
    assert changed(before, resolved()) == concerned


def test_a_rule_s_edit_trains_and_predicts_nothing(resolved, edit):
    before = resolved()
    edit("scoring/decision.py")
    concerned = changed(before, resolved())
    assert {"code.decide", "code.ensemble"} <= concerned
    assert not {name for name in concerned if name.startswith(("runs", "students", "code_of_predict"))}
    assert not {"code.prepare", "code.download", "code.encode"} & concerned


def folders(layout):
    return {path.relative_to(layout.artifacts).as_posix() for path in layout.artifacts.rglob("*") if path.is_dir()}


def test_what_is_listed_no_more_is_removed(resolved, tmp_path, capsys):
    layout = Layout(tmp_path)
    for run, is_student in (("net", False), ("gone", False), ("pupil", True), ("dropout", True)):
        paths = layout.run(run, is_student)
        for fold in (0, 1, 7):
            paths.model(fold).mkdir(parents=True)
        paths.probabilities.mkdir(parents=True)
        if is_student:
            layout.pseudo_labels(run).mkdir(parents=True)
    layout.vote.mkdir(parents=True)
    before = folders(layout)
    resolved()
    gone = before - folders(layout)
    parts = [Path(name).parts for name in gone]
    assert {name for name in gone if "gone" not in name and "dropout" not in name} == {
        *("train/net/7", "train/net/7/model", "second_round/train/pupil/7", "second_round/train/pupil/7/model")
    }
    assert {("train", "gone"), ("predict", "gone"), ("second_round", "predict", "dropout")} < {*parts}
    assert not [name for name in folders(layout) if "gone" in name or "dropout" in name]
    assert "No longer listed in params.yaml, so removed (DVC's cache keeps it)" in capsys.readouterr().out
    resolved()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tree: tree.update(folds=[0, 0]), "each once"),
        (lambda tree: tree.update(seed=-1), "whole number"),
        (lambda tree: tree["runs"].update(a={"like": "b"}, b={"like": "a"}), "a -> b -> a"),
        (lambda tree: tree["runs"].update(pupil={"model": "linear"}), "both under 'runs' and under 'students'"),
        (lambda tree: tree.update(decide={"overrides": {"nobody": {}}}), "nobody is no run"),
        (lambda tree: tree.update(vote={"runs": ["pupil"]}), "pupil"),
        (lambda tree: tree["runs"]["net"].update(vocabulary="letters"), "letters"),
    ],
)
def test_what_can_be_told_to_be_wrong_stops_it_before_anything_is_removed(change, message, resolved, tmp_path):
    left = Layout(tmp_path).run("gone").model(0)
    left.mkdir(parents=True)
    with pytest.raises(PipelineError, match=message):
        resolved(change)
    assert left.exists()
    assert not Layout(tmp_path).resolved.exists()
