"""A search on a corpus of tones: what it learns from, what it tells, and that a kill changes nothing."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas
import pytest
import yaml

from pipeline import params, runs
from pipeline.clips.corpus import Corpus
from pipeline.clips.corpus_writer import CorpusWriter
from pipeline.errors import DivergedError, HeldError, PipelineError
from pipeline.jobs import fitting, searching
from pipeline.jobs.checking import problems_of
from pipeline.jobs.recipes import read_run
from pipeline.jobs.resolving import resolved
from pipeline.jobs.searching import changed, pasteable, ranges_of
from pipeline.jobs.trainings import Trainings
from pipeline.layout import Layout
from pipeline.stages import search
from tests.conftest import Project

ROOT = Path(__file__).resolve().parents[2]
WORDS = ["yes", "no", "cat"]
SPLITS = {"train": 5, "validation": 3, "holdout": 2, "test": 2}
SEARCH = {
    "training.learning_rate": {"low": 0.001, "high": 0.1, "log": True},
    "parameters.hidden": {"low": 4, "high": 16},
    "augmentation.Gain.p": {"choices": [0.5, 1.0]},
}
TREE = {
    "seed": 3,
    "folds": [0],
    "download": {"source": "demo"},
    "prepare": {"commands": ["yes", "no"]},
    "train": {"augmentation": [{"Gain": {"min_gain_db": -6, "max_gain_db": 0, "p": 0.5}}]},
    "runs": {
        "net": {
            "model": "linear",
            "parameters": {"frames": 10, "hidden": 8},
            "training": {"epochs": 3, "batch_size": 8, "learning_rate": 0.01},
            "search": SEARCH,
        },
        "plain": {"model": "linear"},
    },
    "students": {"pupil": {"like": "net"}},
}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A project with a corpus of three tones, in the splits of a competition."""
    layout = Layout(tmp_path_factory.mktemp("tones"))
    layout.prepare.mkdir(parents=True)
    rng, splits, seconds = np.random.default_rng(1), [], np.arange(16_000) / 16_000
    with CorpusWriter(layout.prepare) as writer:
        for split, times in SPLITS.items():
            for number, word in ((number, word) for number in range(times) for word in WORDS):
                hertz = 300 * (1 + WORDS.index(word)) * rng.uniform(0.9, 1.1)
                wave = (8000 * np.sin(2 * np.pi * hertz * seconds)).astype(np.int16)
                about = {} if split == "test" else {"word": word, "speaker": f"{split}-{number}"}
                part = "test" if split == "test" else "train"
                writer.add(wave, clip=f"{split}-{word}-{number}.wav", part=part, **about)
                splits.append(split)
        folds = np.array([0 if split == "validation" else -1 for split in splits])
        writer.finish(np.array(splits), folds, source="demo", seed=1, commands=("yes", "no"))
    layout.params.write_text(yaml.safe_dump(TREE))
    return layout.root


@pytest.fixture
def project(template, tmp_path):
    return Project(template).copy(tmp_path / "project")


def trials_of(layout):
    return pandas.read_csv(layout.search("net") / "trials.csv").drop(columns="seconds")


def test_killed_in_a_trial_it_goes_on_and_ends_as_one_that_was_not(project, template, tmp_path, capsys, monkeypatch):
    """The whole search sees neither the test clips nor the holdout."""
    layout, read = project.layout, []
    of_corpus = Corpus.samples
    monkeypatch.setattr(Corpus, "samples", lambda corpus, rows: read.extend(rows) or of_corpus(corpus, rows))
    whole = Project(template).copy(tmp_path / "whole")
    search.main(whole.layout, "net", trials=2, all_folds=False)
    splits = Corpus.open(layout.prepare).rows["split"].to_numpy()
    assert set(splits[read]) == {"train", "validation"}
    monkeypatch.setattr(Corpus, "samples", of_corpus)

    command = [sys.executable, "-m", "pipeline", "search", "net", "--trials", "2"]
    process = subprocess.Popen(
        command,
        **{"cwd": project.root, "env": {**os.environ, "PYTHONPATH": str(ROOT)}, "text": True},
        **{"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "start_new_session": True},
    )
    checkpoint = "*/1/0/work/*/checkpoint-*/trainer_state.json"
    output = project.kill_when(process, lambda: list(layout.search("net").glob(checkpoint)))
    assert "trial 0 complete" in output
    assert "trial 1 begins" in output
    capsys.readouterr()
    search.main(layout, "net", trials=2, all_folds=False)
    printed = capsys.readouterr().out
    assert "trial 1 goes on" in printed
    assert "trial 0 begins" not in printed
    pandas.testing.assert_frame_equal(trials_of(layout), trials_of(whole.layout))
    best = (layout.search("net") / "best.yaml").read_bytes()
    assert best == (whole.layout.search("net") / "best.yaml").read_bytes()
    assert best.decode() in printed

    table = trials_of(layout).set_index("number")
    assert len(table) == 2
    now = [0.01, 8, 0.5]
    assert table.loc[0, list(SEARCH)].tolist() == now  # the run as it is comes first
    assert not list(layout.search("net").rglob("*.safetensors"))
    search.main(layout, "net", trials=2, all_folds=False)
    assert "begins" not in capsys.readouterr().out

    # What is pasted is a run that can be trained, with the values of the best trial.
    tree = {**TREE, "runs": {**TREE["runs"], **yaml.safe_load(best)["runs"]}}
    tuned, row = read_run(tree, "net-tuned"), table.loc[table["figure"].idxmax()]
    assert tuned.training["learning_rate"] == row["training.learning_rate"]
    assert tuned.parameters == {"frames": 10, "hidden": row["parameters.hidden"]}
    assert tuned.augmentation.model_dump()[0]["Gain"]["p"] == row["augmentation.Gain.p"]


def test_a_training_that_diverges_is_told_and_the_search_goes_on(project, monkeypatch, capsys):
    def learn(*arguments, **options):
        raise DivergedError("no numbers")

    monkeypatch.setattr(fitting.Work, "learn", learn)
    search.main(project.layout, "net", trials=2, all_folds=False)
    printed = capsys.readouterr().out
    assert printed.count("diverged;") == 2
    assert "No trial has ended well" in printed


def test_values_that_no_run_can_have_together_are_told_and_the_search_goes_on(project, monkeypatch, capsys):
    """Each end is fine by itself."""
    together = {"training.soup": {"choices": [0, 2]}, "training.average_decay": {"choices": [0.0, 0.9]}}
    project.configure(lambda tree: tree["runs"]["net"].update(search=together))
    project.configure(lambda tree: tree["runs"]["net"]["training"].update(keep="last"))

    def learn(*arguments, **options):
        raise DivergedError("no numbers")

    monkeypatch.setattr(fitting.Work, "learn", learn)
    search.main(project.layout, "net", trials=12, all_folds=False)
    printed = capsys.readouterr().out
    assert "No run can have these values together." in printed
    states = pandas.read_csv(project.layout.search("net") / "trials.csv")["state"]
    assert set(states) == {"refused", "diverged"}
    assert len(states) == 12


def test_a_value_of_which_no_net_can_be_built_ends_its_trial_alone(project, monkeypatch, capsys):
    """What only building or learning finds out: a number of heads that does not divide the width, say."""

    def learn(work, *_, **__):
        if work.about["parameters"]["hidden"] % 2:
            raise PipelineError("no odd ones")
        raise DivergedError("no numbers")

    monkeypatch.setattr(fitting.Work, "learn", learn)
    search.main(project.layout, "net", trials=8, all_folds=False)
    states = pandas.read_csv(project.layout.search("net") / "trials.csv")["state"]
    assert set(states) == {"refused", "diverged"}
    assert len(states) == 8
    assert "No run can have these values together. no odd ones" in capsys.readouterr().out

    def busy(work, *_, **__):
        raise HeldError("another training") if work.about["parameters"]["hidden"] % 2 else DivergedError("no numbers")

    monkeypatch.setattr(fitting.Work, "learn", busy)
    with pytest.raises(PipelineError, match="another training"):
        search.main(project.layout, "net", trials=16, all_folds=False)

    def lacking(*_, **__):
        raise PipelineError("no checkpoint")

    monkeypatch.setattr(fitting.Work, "learn", lacking)
    project.configure(lambda tree: tree["runs"]["net"].update(seed=6))
    with pytest.raises(PipelineError, match="no checkpoint"):
        search.main(project.layout, "net", trials=8, all_folds=False)


def test_keys_that_shape_no_training_start_no_other_search(project):
    def folder():
        return searching.Search(project.layout, project.params, "net", all_folds=False).open().folder

    before = folder()
    changes = {"at_once": 2, "looks": [{"level_db": -30}], "engine": "onnx", "reported": "0.9"}
    project.configure(lambda tree: tree["runs"]["net"].update(changes))
    assert folder() == before
    project.configure(lambda tree: tree["runs"]["net"].update(seed=5))
    assert folder() != before


def test_a_trial_s_seconds_count_from_before_a_kill(project, monkeypatch):
    def learn(*_, **__):
        time.sleep(0.3)
        raise KeyboardInterrupt

    monkeypatch.setattr(fitting.Work, "learn", learn)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            search.main(project.layout, "net", trials=1, all_folds=False)
    monkeypatch.setattr(fitting.Work, "learn", lambda *_, **__: (_ for _ in ()).throw(searching.DivergedError("")))
    search.main(project.layout, "net", trials=1, all_folds=False)
    assert pandas.read_csv(project.layout.search("net") / "trials.csv")["seconds"].item() >= 0.9


def test_the_first_trial_is_the_run_itself_its_own_seed_included(project, monkeypatch):
    project.configure(lambda tree: tree["runs"]["net"].update(seed=5))
    abouts = []

    def learn(work, *_, **__):
        abouts.append(work.about)
        raise DivergedError("enough was seen")

    monkeypatch.setattr(fitting.Work, "learn", learn)
    search.main(project.layout, "net", trials=1, all_folds=False)
    assert abouts[0]["seed"] == 3 + 5
    assert abouts == [Trainings(project.layout).work("net", 0).about]


def test_what_is_searched_changes_nothing_that_is_trained():
    without = {**TREE, "runs": {**TREE["runs"], "net": {**TREE["runs"]["net"], "search": {}}}}
    assert resolved(TREE)["runs"] == resolved(without)["runs"]
    assert params.digest(runs.entry(TREE, "net")) != params.digest(runs.entry(without, "net"))


def test_the_best_is_like_the_run_and_says_what_differs():
    found = pasteable(TREE, "net", {"training.learning_rate": 0.02, "parameters.hidden": 8})
    assert found == {"runs": {"net-tuned": {"like": "net", "training": {"learning_rate": 0.02}}}}
    again = {**TREE, "runs": {**TREE["runs"], **found["runs"]}}
    assert list(pasteable(again, "net", {"parameters.hidden": 5})["runs"]) == ["net-tuned-2"]
    louder = pasteable(TREE, "net", {"augmentation.Gain.p": 1.0})["runs"]["net-tuned"]["augmentation"]
    assert louder == [{"Gain": {"min_gain_db": -6, "max_gain_db": 0, "p": 1.0}}]
    default = pasteable({"runs": {"net": {"model": "linear"}}}, "net", {"augmentation.AddNoise.p": 0.25})
    assert default["runs"]["net-tuned"]["augmentation"][2]["AddNoise"]["p"] == 0.25
    assert changed(TREE, "net", {"parameters.hidden": 5})["runs"]["plain"] is TREE["runs"]["plain"]


@pytest.mark.parametrize(
    ("says", "message"),
    [
        (
            {"training.learning_rate": {"low": 1, "hihg": 2}},
            r"runs\.net\.search, training\.learning_rate:\n(?s:.*)hihg",
        ),
        ({"training.rate": {"low": 1, "high": 2}}, r"no run can have training\.rate 1\.\n(?s:.*)rate: unknown key"),
        ({"parameters.hidden": {"low": 0, "high": 2}}, r"no run can have parameters\.hidden 0"),
        ({"augmentation.Shift.p": {"choices": [0, 1]}}, r"leads nowhere, for there is no Shift"),
        ({"parameters.hidden": 3}, r"search, parameters\.hidden: expected keys and values, found 3"),
    ],
)
def test_ranges_of_which_no_run_can_be_made_are_told_by_check_too(says, message, tmp_path):
    tree = {**TREE, "students": {}, "runs": {"net": {**TREE["runs"]["net"], "search": says}}}
    with pytest.raises(PipelineError, match=message):
        ranges_of(tree, "net")
    (problem,) = problems_of(tree, tmp_path)
    assert problem.startswith("Run 'net': ")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("plain", r"'plain' names no ranges to search(?s:.*)search:\n      training\.learning_rate: {low:"),
        ("pupil", "is a student, and learns from the test clips, which no search may see"),
        ("nett", "lists no run 'nett'"),
    ],
)
def test_what_cannot_be_searched_is_told(name, message, project):
    with pytest.raises(PipelineError, match=message):
        search.main(project.layout, name, trials=1, all_folds=False)
    assert not project.layout.search(name).exists()
