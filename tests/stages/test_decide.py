import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.files import read_json, sha256_of
from pipeline.jobs import voting
from pipeline.scoring import submission
from pipeline.scoring.probabilities import Probabilities
from pipeline.stages import decide


def test_a_run_gets_its_five_files(judged_project):
    layout = judged_project.layout
    decide.main(layout, "ast")
    folder = layout.submission("ast")
    assert sorted(file.name for file in folder.iterdir()) == [
        "confusion.csv",
        "confusion.png",
        "judged.parquet",
        "metrics.json",
        "submission.csv",
    ]
    submission.check(
        folder / "submission.csv", judged_project.sample, judged_project.corpus.vocabulary.submission_labels
    )
    metrics = read_json(folder / "metrics.json")
    estimate = metrics["estimate"]
    assert estimate["prior_accuracy_low"] < estimate["prior_accuracy"] < estimate["prior_accuracy_high"]
    assert estimate["argmax_prior_accuracy"] > 0.85
    # The rule was chosen on these clips, so the figure is no lower than that of choices made without the clips.
    assert metrics["selected"]["prior_accuracy"] >= estimate["prior_accuracy"]
    assert metrics["rule"] == "tuned"
    assert metrics["prior"] == "uniform"
    assert estimate["clips"] == metrics["selected"]["clips"] == 8 * 13
    assert sum(metrics["predicted_on_test"].values()) == 6 * 13
    assert metrics["holdout"]["clips"] == 4 * 13
    assert set(estimate["recalls"]) == set(judged_project.corpus.vocabulary.submission_labels)
    # The words cat and dog are unknown: twice the clips of a command.
    table = list(csv.reader((folder / "confusion.csv").open()))
    assert sum(map(int, table[11][1:])) == 16
    right = sum(int(table[place][place]) for place in range(1, 13))
    assert estimate["accuracy"] == pytest.approx(right / 104, abs=1e-5)


def test_all_clips_out_of_fold_are_judged(folded_project):
    decide.main(folded_project.layout, "words")
    metrics = read_json(folded_project.layout.submission("words") / "metrics.json")
    assert metrics["estimate"]["clips"] == 9 * 13


def test_folds_that_are_not_trained_yet_are_not_judged(folded_project):
    layout = folded_project.layout
    path = layout.run("ast").probabilities / "out_of_fold.parquet"
    table = Probabilities.read(path)
    folds = voting.folds_of(folded_project.corpus, table.clips)
    table.select(folds != 2).write(path)
    decide.main(layout, "ast")
    assert read_json(layout.submission("ast") / "metrics.json")["estimate"]["clips"] == (folds != 2).sum() == 7 * 13
    table.select(np.flatnonzero(folds != 2)[1:]).write(path)
    with pytest.raises(PipelineError, match="predict anew"):
        decide.main(layout, "ast")


def test_overrides_reach_their_run_and_change_nothing_upstream(judged_project):
    layout = judged_project.layout
    before = {path: path.read_bytes() for path in layout.artifacts.rglob("*.parquet")}
    decide.main(layout, "words")
    metrics = read_json(layout.submission("words") / "metrics.json")
    assert metrics["rule"] == "published"
    assert metrics["thresholds"] == {"unknown_below": 0.5, "silence_below": 0.3}
    judged_project.configure(decide={"rule": "published", "unknown_below": 1.0, "silence_below": 0.0})
    decide.main(layout, "words")
    metrics = read_json(layout.submission("words") / "metrics.json")
    assert metrics["predicted_on_test"]["unknown"] == 6 * 13
    assert {path: path.read_bytes() for path in layout.artifacts.rglob("*.parquet")} == before


def test_the_same_parameters_give_the_same_bytes(judged_project):
    folder = judged_project.layout.submission("ast")
    decide.main(judged_project.layout, "ast")
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    decide.main(judged_project.layout, "ast")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_a_run_without_a_held_out_split_says_none(judged_project):
    (judged_project.probabilities("ast") / "holdout.parquet").unlink()
    decide.main(judged_project.layout, "ast")
    assert read_json(judged_project.layout.submission("ast") / "metrics.json")["holdout"] is None


def test_a_missing_test_clip_is_refused(judged_project):
    path = judged_project.probabilities("ast") / "test.parquet"
    table = Probabilities.read(path)
    Probabilities(table.clips[1:], table.labels, table.values[1:], table.run, table.corpus).write(path)
    with pytest.raises(PipelineError, match=f"lacks 1 clips of the sample submission: {table.clips[0]}"):
        decide.main(judged_project.layout, "ast")


def test_probabilities_of_another_corpus_are_refused(judged_project):
    path = judged_project.probabilities("ast") / "out_of_fold.parquet"
    table = Probabilities.read(path)
    Probabilities(table.clips, table.labels, table.values, table.run, "older").write(path)
    with pytest.raises(PipelineError, match="predict anew"):
        decide.main(judged_project.layout, "ast")


def test_an_override_for_no_run_is_refused(judged_project):
    judged_project.configure(decide={"overrides": {"asd": {"rule": "none"}}})
    with pytest.raises(PipelineError, match=r"asd is no run\. Runs: ast, words, ensemble"):
        decide.main(judged_project.layout, "ast")


def test_a_student_is_decided_from_the_second_round(judged_project):
    judged_project.configure(students={"pupil": {"like": "ast"}})
    judged_project.predict("pupil")
    decide.main(judged_project.layout, "pupil")
    metrics = read_json(judged_project.layout.submission("pupil") / "metrics.json")
    assert (metrics["run"], metrics["estimate"]["clips"]) == ("pupil", 8 * 13)


def test_it_takes_seconds_and_neither_torch_nor_transformers(judged_project):
    code = (
        "import sys; from pathlib import Path; from pipeline.layout import Layout; from pipeline.stages import decide;"
        "decide.main(Layout(Path(sys.argv[1])), 'ast');"
        "heavy = {'torch', 'transformers', 'evaluate', 'datasets', 'sklearn', 'scipy', 'audiomentations'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(decide.__file__).parents[2]), "HF_HUB_OFFLINE": "1"}
    before_s = os.times().children_user
    subprocess.run([sys.executable, "-c", code, str(judged_project.layout.root)], env=environment, check=True)
    # Processor time, since other work on the machine must not fail a test.
    assert os.times().children_user - before_s < 10


class Killed(BaseException):
    """Nothing of ours catches it."""


def test_a_kill_at_any_moment_leaves_no_file_that_the_next_takes_for_a_stranger_s(judged_project, monkeypatch, capsys):
    layout, replace = judged_project.layout, os.replace
    folder, moment, killed = layout.submission("ast"), 0, True
    decide.main(layout, "ast")
    while killed:
        before, left = (folder / "submission.csv").read_bytes(), moment
        # Another file each time, or it would be known by its bytes.
        rule = {"rule": "published", "unknown_below": (1.0, 0.1)[moment % 2], "silence_below": 0.0}
        judged_project.configure(decide=rule)

        def replaced(source, target):
            """The first `moment` half steps are taken: before and after each rename."""
            nonlocal left
            if left < 1:
                raise Killed
            replace(source, target)
            if left < 2:
                raise Killed
            left -= 2

        with monkeypatch.context() as patched:
            patched.setattr(os, "replace", replaced)
            try:
                decide.main(layout, "ast")
                killed = False
            except Killed:
                moment += 1
        decide.main(layout, "ast")
        assert (folder / "submission.csv").read_bytes() != before
        assert not (layout.submissions / "by-hand").exists()
        assert "not made by this project" not in capsys.readouterr().out
    assert moment >= 10  # five files
    sha256 = sha256_of(folder / "submission.csv")
    assert read_json(folder / "metrics.json")["provenance"]["sha256"] == sha256


def test_repro_keeps_a_file_that_was_made_by_hand(judged_project, clone, tmp_path):
    """Whoever is told to run `dvc repro` loses nothing by it."""
    project = clone(tmp_path / "clone", judged_project.params)
    for part in ("prepare", "predict"):
        shutil.copytree(judged_project.layout.artifacts / part, project.layout.artifacts / part)
    path = project.layout.submission("ast") / "submission.csv"
    path.parent.mkdir(parents=True)
    path.write_text("fname,label\nmine.wav,yes\n")
    only = ("repro", "--single-item")
    project.dvc(*only, "resolve")
    said = project.dvc(*only, "decide@ast")
    (kept,) = project.layout.submissions.glob("by-hand/ast-*.csv")
    assert kept.read_text() == "fname,label\nmine.wav,yes\n"
    assert f"it is kept as {kept.relative_to(project.root)}" in said
    made = path.read_bytes()
    assert read_json(path.parent / "metrics.json")["provenance"]["commit"] not in ("", None)
    assert "didn't change" in project.dvc(*only, "decide@ast")
    # A file that takes the place of the run's own later, with its figures still there.
    path.write_text("fname,label\nother.wav,yes\n")
    project.configure(lambda params: params["decide"].update(unknown_below=0.9))
    project.dvc(*only, "resolve", "decide@ast")
    assert {kept.read_text() for kept in project.layout.submissions.glob("by-hand/ast-*.csv")} == {
        "fname,label\nmine.wav,yes\n",
        "fname,label\nother.wav,yes\n",
    }
    assert len(path.read_bytes()) == len(made)
