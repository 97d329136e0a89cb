"""Folds and two rounds of students through `dvc repro`: who judges whom, what a new fold runs, kills do no harm."""

import graphlib
import os
import re
import shutil
import signal
import time

import numpy as np
import pandas
import pytest
import yaml

from pipeline import models
from pipeline.clips.corpus import Corpus
from pipeline.examples import pseudo_labels
from pipeline.examples.from_corpus import SoftLabels
from pipeline.examples.pseudo_labels import PseudoLabels
from pipeline.files import read_json
from pipeline.learners.training import Training
from pipeline.scoring.probabilities import Probabilities
from pipeline.scoring.truth import speakers_of
from tests.conftest import REPRO, page_values, stages_run

NET = {"model": "linear", "parameters": {"frames": 10}, "training": {"epochs": 2, "learning_rate": 0.01}}
FOLDS = [0, 1]
RUNS = ["commands", "words", "student", "heir"]
ROUND = {"student": 2, "heir": 3}


@pytest.fixture(scope="module")
def folded(finished, tmp_path_factory):
    """Two teachers, trained on one fold; then on two, with a student and a second one. Logs of both lie beside it.

    Do not change it.
    """
    root = tmp_path_factory.mktemp("folded")
    project = finished.copy(root / "project")  # for its recordings; its runs are removed

    def one_fold(params):
        params["prepare"]["folds"] = 2
        params["folds"] = [0]
        params["runs"] = {"commands": NET, "words": {"like": "commands", "vocabulary": "words"}}
        params["students"] = {"student": {"like": "words"}}
        params["second_students"] = {"heir": {"like": "student"}}
        params["second_vote"] = {"weights": "equal"}
        params["vote"] = {"weights": "equal"}

    project.configure(one_fold)
    (root / "one.log").write_text(project.run(*REPRO, "train@commands-0", "train@words-0"))
    project.configure(lambda params: params.update(folds=FOLDS))
    (root / "two.log").write_text(project.run(*REPRO))
    return project


@pytest.fixture(scope="module")
def corpus(folded):
    return Corpus.open(folded.layout.prepare)


def paths_of(folded, run):
    return folded.layout.run(run, ROUND.get(run, 1))


def net_of(folded, run, fold):
    return models.find("linear").restore(paths_of(folded, run).model(fold), Training())


def test_one_more_fold_trains_that_fold_alone_and_each_round_ends_before_the_next_begins(folded):
    ran = stages_run((folded.root.parent / "one.log").read_text())
    trained = {"train@commands-0", "train@words-0"}
    assert {*ran} == trained | {"resolve", "check", "prepare", "encode", "encoder_digest"}
    ran = stages_run((folded.root.parent / "two.log").read_text())
    assert ran == [
        *("resolve", "check", "train@commands-1", "train@words-1", "predict@commands", "predict@words"),
        *("vote", "pseudo_label@student", "train_student@student-0", "train_student@student-1"),
        *("predict_student@student", "vote_second@heir", "pseudo_label_second@heir"),
        *("train_second@heir-0", "train_second@heir-1", "predict_second@heir"),
        *("decide@commands", "decide@words", "decide_student@student", "decide_second@heir"),
        *("ensemble", "score", "report"),
    ]


def test_the_page_has_the_curves_of_each_round(folded):
    told = page_values(folded.layout.report, "told")
    for run in RUNS:
        assert {each["fold"] for each in told["runs"][run]["curves"]["loss"]} == {*FOLDS}
    assert [step["name"] for step in told["provenance"]["graph"]].count("pseudo_label") == 2


def test_runs_that_are_listed_no_more_leave_nothing(folded):
    for part in ("train", "predict"):
        assert {path.name for path in (folded.layout.artifacts / part).iterdir()} == {"commands", "words"}
    assert "so removed (DVC's cache keeps it): artifacts/predict/ast" in (folded.root.parent / "one.log").read_text()


@pytest.mark.parametrize("run", RUNS)
def test_each_training_clip_is_judged_once_by_the_net_that_never_heard_its_speaker(run, folded, corpus):
    table = Probabilities.read(paths_of(folded, run).probabilities / "out_of_fold.parquet")
    labelled = corpus.rows[corpus.rows["part"] == "train"]
    assert sorted(table.clips) == sorted(labelled["clip"])
    assert set(labelled["split"]) == {"train"}
    row_of = {clip: row for row, clip in enumerate(corpus.rows["clip"])}
    for fold in FOLDS:
        judged = corpus.judged_rows(fold)
        taught = set(speakers_of(corpus, corpus.training_rows(fold)))
        assert len(judged)
        assert not taught & set(speakers_of(corpus, judged))
        clip = corpus.rows["clip"][judged[0]]
        given = table.values[table.clips.index(clip)]
        by = [net_of(folded, run, net).predict_proba(corpus.samples(np.array([row_of[clip]])))[0] for net in FOLDS]
        assert [np.abs(given - of).max() < 1e-5 for of in by] == [net == fold for net in FOLDS]
        about = read_json(paths_of(folded, run).model(fold) / "run.json")
        assert (about["fold"], about["corpus"]) == (fold, corpus.fingerprint)


@pytest.mark.parametrize("run", RUNS)
def test_test_clips_have_the_mean_over_the_folds(run, folded, corpus):
    folder = paths_of(folded, run).probabilities
    of_folds = [Probabilities.read(folder / "test" / f"{fold}.parquet") for fold in FOLDS]
    table = Probabilities.read(folder / "test.parquet")
    assert table.clips == corpus.rows["clip"][corpus.select("test")].tolist()
    assert all(of.clips == table.clips for of in of_folds)
    assert np.abs(table.values - np.mean([of.values for of in of_folds], axis=0)).max() < 1e-6


@pytest.mark.parametrize("fold", FOLDS)
@pytest.mark.parametrize("student", ["student", "heir"])
def test_a_student_s_labels_are_of_nets_that_never_heard_the_speakers_that_judge_it(student, fold, folded, corpus):
    layout, commands = folded.layout, corpus.vocabulary.commands
    path = layout.pseudo_labels(student, ROUND[student]) / f"{fold}.parquet"
    given = pandas.read_parquet(path)
    rows = corpus.select("test")
    assert given.index.tolist() == corpus.rows["clip"][rows].tolist()
    expected = np.zeros((len(rows), len(commands) + 2))
    teachers = RUNS[: RUNS.index(student)]  # all that come before it
    for run in teachers:
        own = net_of(folded, run, fold)
        values = own.predict_proba(corpus.samples(rows))
        table = Probabilities(given.index.tolist(), own.labels, values).to_submission_labels(commands)
        expected += table.values / len(teachers)
    said = Probabilities(given.index.tolist(), list(given.columns), given.to_numpy()).to_submission_labels(commands)
    assert np.abs(said.values - expected).max() < 1e-5
    # And these are what the student of this fold learnt.
    labels = corpus.vocabulary.labels("words")
    soft = SoftLabels(rows, pseudo_labels.read(path, labels)[1], PseudoLabels())
    about = read_json(paths_of(folded, student).model(fold) / "run.json")
    assert about["pseudo_labels"]["sha256"] == soft.digest


@pytest.mark.parametrize("run", [*RUNS, "ensemble"])
def test_figures_tell_the_nested_estimate_from_what_the_choices_were_made_on(run, folded, corpus):
    metrics = read_json(folded.layout.submission(run) / "metrics.json")
    clips = int((corpus.rows["part"] == "train").sum())
    for part in ("estimate", "selected"):
        figures = metrics[part]
        assert figures["clips"] == clips
        assert figures["prior_accuracy_low"] <= figures["prior_accuracy"] <= figures["prior_accuracy_high"]
    if run == "ensemble":
        assert set(metrics["weights"]) == set(RUNS)


@pytest.mark.parametrize(
    ("students", "second", "folds"), [({}, {}, [0]), ({"one": NET, "two": {"like": "one"}}, {"last": NET}, [0, 1])]
)
def test_the_graph_has_no_circle(students, second, folds, clone, tiny_params, tmp_path):
    tiny_params |= {"students": students, "second_students": second, "folds": folds}
    graph = clone(tmp_path / "project", tiny_params).dvc("dag", "--dot")
    edges = re.findall(r'"([^"]+)" -> "([^"]+)"', graph)
    before = graphlib.TopologicalSorter()
    for first, then in edges:
        before.add(then, first)
    order = list(before.static_order())  # CycleError if there is one
    assert {f"train_student@{name}-{fold}" for name in students for fold in folds} <= {*order}
    assert order.index("vote") > max(order.index(f"predict@{run}") for run in tiny_params["runs"])
    for name in students:
        assert order.index(f"train_student@{name}-0") > order.index("vote")
    for name in second:
        votes = order.index(f"vote_second@{name}")
        assert votes > max(order.index(f"predict_student@{student}") for student in students)
        assert order.index(f"train_second@{name}-0") > votes


def test_a_student_that_goes_takes_its_own_along_and_comes_back_from_the_cache(folded, tmp_path):
    project = folded.copy(tmp_path / "project")
    students = {section: project.params[section] for section in ("students", "second_students")}
    project.configure(lambda params: params.update(students={}, second_students={}))
    ran = stages_run(project.run(*REPRO))
    assert ran == ["resolve", "check", "encoder_digest", "vote", "ensemble", "score", "report"]
    left = [path for path in (project.layout.artifacts / "rounds").rglob("*") if path.is_dir() and path.name in ROUND]
    assert left == []
    assert set(read_json(project.layout.submission("ensemble") / "metrics.json")["weights"]) == {"commands", "words"}
    project.configure(lambda params: params.update(students))
    output = project.run(*REPRO)
    assert not {stage for stage in stages_run(output) if stage.startswith(("train", "predict", "pseudo_label"))}
    for table in ("out_of_fold", "test"):
        here, there = (paths_of(each, "student").probabilities / f"{table}.parquet" for each in (project, folded))
        assert here.read_bytes() == there.read_bytes()


def test_killed_anywhere_it_ends_with_the_same_submissions(folded, tmp_path):
    project = folded.copy(tmp_path / "project")
    layout, rng = project.layout, np.random.default_rng(9)
    # DVC forgets that these stages ever ran, and has no outputs of former runs to take in their place.
    doomed = [
        *("predict@words", "pseudo_label@student", "train_student@student-1"),
        *("predict_student@student", "vote_second@heir", "train_second@heir-0", "predict_second@heir"),
        *("decide@words", "decide_student@student", "decide_second@heir", "ensemble"),
    ]
    lock = yaml.safe_load((project.root / "dvc.lock").read_text())
    for stage in doomed:
        del lock["stages"][stage]
    (project.root / "dvc.lock").write_text(yaml.safe_dump(lock))
    shutil.rmtree(project.root / ".dvc" / "cache" / "runs")
    made = [
        paths_of(project, "words").probabilities,
        *(paths_of(project, "student").model(1), paths_of(project, "student").probabilities),
        *(paths_of(project, "heir").model(0), paths_of(project, "heir").probabilities),
        *(layout.pseudo_labels("student"), layout.vote("heir")),
    ]
    for folder in [*made, *(layout.submission(run) for run in ("words", "student", "heir", "ensemble"))]:
        shutil.rmtree(folder)

    def checkpoint(run, fold):
        return lambda _: list(paths_of(project, run).work(fold).glob("*/checkpoint-*/trainer_state.json"))

    def within(stage):
        """A moment after the stage has begun: while it loads, or works, or writes."""
        delay_s = rng.uniform(0, 2)
        begun_s = []

        def there(log):
            if f"Running stage '{stage}'" in log.read_text() and not begun_s:
                begun_s.append(time.monotonic())
            return begun_s and time.monotonic() - begun_s[0] > delay_s

        return there

    moments = {
        "predict@words": within("predict@words"),
        "train_student@student-1": checkpoint("student", 1),
        "train_second@heir-0": checkpoint("heir", 0),
    }
    for stage, moment in moments.items():
        log = tmp_path / f"{stage}.log"
        log.touch()
        process = project.start_warm("sh", "-c", f'exec "$@" >{log} 2>&1', "sh", *REPRO)
        while process.poll() is None and not moment(log):
            time.sleep(0.005)
        if process.poll() is None:  # on an idle machine the moment may be after the end
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert f"Running stage '{stage}'" in log.read_text()
    project.run(*REPRO)
    for folder in made:
        there = folded.root / folder.relative_to(project.root)
        names = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        assert names == sorted(path.relative_to(there) for path in there.rglob("*") if path.is_file())
        assert [name for name in names if (folder / name).read_bytes() != (there / name).read_bytes()] == []
    for run in [*RUNS, "ensemble"]:
        ours, theirs = (each.layout.submission(run) / "submission.csv" for each in (project, folded))
        assert ours.read_bytes() == theirs.read_bytes()
    assert stages_run(project.run(*REPRO)) == []
