"""What `dvc repro` watches: each change of params.yaml or of the code is seen by the stages that it concerns alone."""

import copy
import shutil
from pathlib import Path

import pytest
import yaml

from pipeline import code
from pipeline.errors import PipelineError
from pipeline.files import read_json, write_json
from pipeline.layout import Layout
from pipeline.scoring import provenance
from pipeline.stages import resolve

DVC = yaml.safe_load((Path(__file__).parents[2] / "dvc.yaml").read_text())["stages"]
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
    "second_students": {"heir": {"like": "pupil"}},
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


def watched(tree):
    """Return the values of artifacts/params.json that each stage of dvc.yaml watches, folds of a run together."""
    found = {}
    for name, stage in DVC.items():
        axis = stage.get("matrix", {}).get("run") or stage.get("foreach")
        listed = [None] if axis is None else TREE[axis.strip("${}")]
        given = [name for each in stage.get("do", stage)["params"] for name in each.get("artifacts/params.json", [])]
        for run in listed:
            names = [each.replace("${key}", str(run)).replace("${item.run}", str(run)) for each in given]
            found[name if run is None else f"{name}@{run}"] = [_at(tree, each.split(".")) for each in names]
    return found


def _at(tree, keys):
    return tree if not keys else _at(tree[keys[0]], keys[1:])  # a KeyError is a parameter that DVC would miss


def concerned(before, after):
    """Return the stages that see a difference."""
    one, other = watched(before), watched(after)
    return {name for name in one if one[name] != other[name]}


DECIDES = {"decide@net", "decide@same", "decide@apart", "decide_student@pupil"}
DECIDES |= {"decide_second@heir", "ensemble", "report"}
PREDICTS = {"predict@net", "predict@same", "predict@apart", "predict_student@pupil", "predict_second@heir"}
LABELS = {"vote", "pseudo_label@pupil", "vote_second@heir", "pseudo_label_second@heir"}
TRAINS = {"train@net", "train@same", "train@apart", "train_student@pupil", "train_second@heir"}


@pytest.mark.parametrize(
    ("change", "stages"),
    [
        (lambda tree: tree["runs"]["net"].update(reported="0.97"), set()),
        (
            lambda tree: tree["runs"]["net"].update(looks=[{"shift_ms": 50}]),
            {"check", "predict@net", "predict@same", "predict_student@pupil", "predict_second@heir"},
        ),
        (
            lambda tree: tree["runs"]["same"].update(engine="onnx"),
            {"check", "predict@same"},
        ),
        (lambda tree: tree["runs"]["net"].update(training={"epochs": 2}), set()),  # as all have
        (lambda tree: tree["runs"].update(same={"model": "linear"}), set()),
        (lambda tree: tree["runs"]["net"].update(training={"eval_batch_size": 2, "workers": 1}), set()),
        (lambda tree: tree["train"]["training"].update(eval_batch_size=2), set()),
        (lambda tree: tree["runs"]["apart"]["detector"].update(training={"eval_batch_size": 2}), set()),
        (lambda tree: tree.update(submit={}, vote={}), set()),
        (lambda tree: [tree.setdefault(each, {}).update(processes=3) for each in ("prepare", "encode")], set()),
        (
            lambda tree: tree["runs"]["net"].update(training={"epochs": 3}),
            {"check", "train@net", "train@same", "train_student@pupil", "train_second@heir", "report"},
        ),
        (
            lambda tree: tree["runs"]["same"].update(vocabulary="words"),
            {"check", "train@same", "predict@same", "vote", "vote_second@heir"}
            | {"decide@same", "ensemble", "score", "report"},
        ),
        (
            lambda tree: tree["runs"]["apart"]["detector"].update(parameters={"hidden": 4}),
            {"check", "train@apart", "report"},
        ),
        (
            lambda tree: tree["students"]["pupil"].update(pseudo_labels={"minimum": 0.6}),
            {"check", "pseudo_label@pupil", "train_student@pupil", "pseudo_label_second@heir", "train_second@heir"}
            | {"report"},
        ),
        (
            lambda tree: tree["students"]["pupil"].update(training={"epochs": 3}),
            {"check", "train_student@pupil", "train_second@heir", "report"},
        ),
        (
            lambda tree: tree["second_students"]["heir"].update(training={"epochs": 3}),
            {"check", "train_second@heir", "report"},
        ),
        (
            lambda tree: tree.update(second_vote={"weights": "equal"}),
            {"vote_second@heir", "decide_second@heir", "ensemble"},
        ),
        (
            lambda tree: tree["runs"]["net"].update(heard_judges=True),
            (DECIDES - {"report"}) | {"vote", "vote_second@heir"},
        ),
        (lambda tree: tree.update(decide={"rule": "none"}), DECIDES),
        (lambda tree: tree.update(decide={"prior": {"yes": 1.0}}), DECIDES | {"vote", "vote_second@heir"}),
        (
            lambda tree: tree.update(vote={"weights": "equal"}),
            {"vote", "decide_student@pupil", "decide_second@heir", "ensemble"},
        ),
        (lambda tree: tree.update(ensemble={"weights": "equal"}), {"ensemble", "report"}),
        (lambda tree: tree.update(folds=[0]), PREDICTS | LABELS | {"check", "ensemble", "report"}),
        (lambda tree: tree["prepare"].update(splits="hash"), {"check", "prepare", "report"}),
        (lambda tree: tree.update(encode={"layers": [1]}), {"check", "encode", "report"}),
    ],
)
def test_a_change_concerns_the_stages_that_it_changes(change, stages, resolved):
    assert concerned(resolved(), resolved(change)) == stages


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


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        ("listening/gate.py", set()),
        ("stages/submit.py", set()),
        ("models/ast.py", set()),  # no run has it
        # The detector's model too.
        ("models/gru.py", {"check", "encoder_digest", "train@apart", "predict@apart", "report"}),
        ("models/linear.py", {"check", "encoder_digest", "report"} | TRAINS | PREDICTS),
        ("sources/demo.py", {"check", "download", "prepare"}),
        ("sources/kaggle.py", set()),
        ("stages/score.py", {"score"}),
        ("stages/predict.py", PREDICTS),
        ("stages/encode.py", {"encode"}),
        ("clips/preparation.py", {"check", "prepare"}),
        ("reporting/confusion.py", DECIDES | {"score"}),
        # A rule's edit neither trains nor predicts.
        ("scoring/decision.py", DECIDES | {"score"}),
        ("scoring/thresholds.py", DECIDES | {"score"}),
        ("scoring/settings.py", DECIDES | {"check", "vote", "vote_second@heir", "score"}),
    ],
)
def test_an_edit_of_the_code_concerns_the_stages_that_run_it(file, stages, resolved, edit):
    before = resolved()
    edit(file)
    assert concerned(before, resolved()) == stages


def folders(layout):
    return {path.relative_to(layout.artifacts).as_posix() for path in layout.artifacts.rglob("*") if path.is_dir()}


def recorded(layout, *folders):
    """Let DVC have recorded the folders as outputs."""
    outs = [{"path": folder.relative_to(layout.root).as_posix()} for folder in folders]
    (layout.root / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": {"some": {"outs": outs}}}))


def test_a_training_that_dvc_has_not_recorded_is_kept_aside(resolved, tmp_path, capsys):
    """One by the verb, or brought from another machine: no cache has it."""
    layout, texts = Layout(tmp_path), ("first", "second")
    for text in texts:
        model = layout.run("gone").model(0)
        model.mkdir(parents=True)
        (model / "run.json").write_text(text)
        backup = layout.submission("net-before")
        write_json(backup / "metrics.json", {})
        resolved()
        assert "DVC has no copy of it: it is kept as" in capsys.readouterr().out
        assert not layout.run("gone").trained.exists()
        assert backup.exists()
    kept = [layout.unlisted / name / "0" / "model" / "run.json" for name in ("train-gone", "train-gone-1")]
    assert tuple(file.read_text() for file in kept) == texts


def test_what_is_listed_no_more_is_removed(resolved, tmp_path, capsys):
    layout = Layout(tmp_path)
    for run, round_ in (("net", 1), ("gone", 1), ("pupil", 2), ("dropout", 2), ("heir", 3), ("other", 3)):
        paths = layout.run(run, round_)
        for fold in (0, 1, 7):
            paths.model(fold).mkdir(parents=True)
        paths.probabilities.mkdir(parents=True)
        if round_ > 1:
            layout.pseudo_labels(run, round_).mkdir(parents=True)
        if round_ > 2:
            layout.vote(run).mkdir(parents=True)
    layout.vote().mkdir(parents=True)
    recorded(layout, *(layout.artifacts / name for name in folders(layout)))
    before = folders(layout)
    resolved()
    gone = before - folders(layout)
    parts = [Path(name).parts for name in gone]
    assert {name for name in gone if not {"gone", "dropout", "other"} & {*Path(name).parts}} == {
        *("train/net/7", "train/net/7/model", "rounds/2/train/pupil/7", "rounds/2/train/pupil/7/model"),
        *("rounds/3/train/heir/7", "rounds/3/train/heir/7/model"),
    }
    assert {("train", "gone"), ("predict", "gone"), ("rounds", "2", "predict", "dropout")} < {*parts}
    assert {("rounds", "3", part, "other") for part in ("train", "predict", "pseudo_label", "vote")} < {*parts}
    assert not [name for name in folders(layout) if {"gone", "dropout", "other"} & {*Path(name).parts}]
    assert "No longer listed in params.yaml, so removed (DVC's cache keeps it)" in capsys.readouterr().out
    resolved()
    assert capsys.readouterr().out == ""


def test_submissions_of_runs_that_are_listed_no_more_go_but_for_what_others_made(resolved, tmp_path, capsys):
    layout = Layout(tmp_path)
    for run in ("net", "pupil", "gone", "edited", "ensemble", "kernel"):
        folder = layout.submission(run)
        write_json(folder / "metrics.json", {"estimate": None})
        (folder / "submission.csv").write_text("fname,label\na.wav,yes\n")
        (folder / "confusion.png").touch()
        provenance.note(folder, "0123abc", "")
    (layout.submission("edited") / "submission.csv").write_text("fname,label\na.wav,no\n")
    (layout.submission("edited") / "notes.txt").touch()
    layout.submission("own").mkdir()  # no stage has written it
    recorded(layout, *(layout.submission(run) / "metrics.json" for run in ("net", "pupil", "gone", "edited")))
    resolved()
    left = {path.relative_to(layout.submissions).as_posix() for path in layout.submissions.rglob("*") if path.is_file()}
    (by_hand,) = [path for path in left if path.startswith("by-hand/")]
    assert (layout.submissions / by_hand).read_text() == "fname,label\na.wav,no\n"
    assert "edited/notes.txt" in left
    folders = {path.name for path in layout.submissions.iterdir()}
    assert folders == {"net", "pupil", "ensemble", "kernel", "edited", "own", "by-hand"}
    assert "so removed (DVC's cache keeps it): submissions/edited, submissions/gone\n" in capsys.readouterr().out


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
