"""The whole flow as a user sees it: `dvc repro` in a clone, with the network off, and what a change runs again."""

import csv
import json
import re
import subprocess
import sys

import pandas
import pytest
import torch
from safetensors.torch import load_file

from pipeline import params
from pipeline.clips.corpus import Corpus
from pipeline.files import sha256_of
from tests.conftest import REPRO, Project, stages_run

VERB = (sys.executable, "-m", "pipeline")
LABELS = ["yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go", "unknown", "silence"]
RUNS = ["ast", "wav2vec2"]


def finished_checkpoint(work):
    """Return whether there is a checkpoint whose last file is whole."""
    for state in work.glob("*/checkpoint-*/trainer_state.json"):
        try:
            return bool(json.loads(state.read_text()))
        except (ValueError, FileNotFoundError):
            continue
    return False


def ledger(project):
    with project.layout.ledger.open() as file:
        return list(csv.DictReader(file))


def tracked_by_nobody(project):
    """Return what `git status` lists."""
    command = ["git", "status", "--porcelain", "--untracked-files=all"]
    lines = subprocess.run(command, cwd=project.root, check=True, capture_output=True, text=True).stdout.splitlines()
    return {line[3:]: line[:2] for line in lines}


def test_one_command_runs_every_stage_in_order(finished):
    ran = stages_run((finished.root.parent / "repro.log").read_text())
    assert ran == [
        *("resolve", "check", "download", "prepare", "encode", "encoder_digest"),
        *("train@ast-0", "train@wav2vec2-0", "predict@ast", "predict@wav2vec2", "vote"),
        *("decide@ast", "decide@wav2vec2", "ensemble", "score", "report"),
    ]


@pytest.mark.parametrize("run", [*RUNS, "ensemble"])
def test_each_run_and_the_ensemble_end_in_a_submission_that_is_scored(run, finished):
    layout = finished.layout
    folder = layout.submission(run)
    sample = pandas.read_csv(layout.prepare / "sample.csv")
    submission = pandas.read_csv(folder / "submission.csv")
    assert list(submission.columns) == ["fname", "label"]
    assert submission["fname"].tolist() == sample["fname"].tolist()
    assert len(submission) == 60
    assert set(submission["label"]) <= set(LABELS)

    table = pandas.read_csv(folder / "confusion.csv", index_col=0)
    assert set(LABELS) <= set(table.index)
    assert (folder / "confusion.png").read_bytes().startswith(b"\x89PNG")
    assert 0 <= json.loads((folder / "metrics.json").read_text())["estimate"]["prior_accuracy"] <= 1

    (row,) = [row for row in ledger(finished) if row["run"] == run]
    ours = ["time", "run", "scoreboard", "public", "private", "sha256", "commit", "params"]
    assert list(row) == [*ours, "ref", "status", "message", "reason"]  # the last four are of Kaggle
    assert not any(row[column] for column in ("ref", "message", "reason"))
    kept = layout.submissions / f"{row['private']}_{run}.csv"
    assert kept.read_bytes() == (folder / "submission.csv").read_bytes()
    assert row["sha256"] == sha256_of(kept)
    commit = ["git", "rev-parse", "HEAD"]
    assert row["commit"].startswith(subprocess.check_output(commit, cwd=finished.root, text=True).strip())
    answers = pandas.read_csv(layout.prepare / "answers.csv").set_index("fname").loc[submission["fname"]]
    right = answers["label"].to_numpy() == submission["label"].to_numpy()
    for part in ("private", "public"):
        assert float(row[part]) == pytest.approx(right[answers["usage"] == part.title()].mean(), abs=5e-6)
    assert json.loads(layout.scores.read_text())[run]["n_private"] == (answers["usage"] == "Private").sum()


def test_git_sees_only_what_is_meant_to_be_kept(finished):
    kept = {f"submissions/{row['private']}_{row['run']}.{kind}" for row in ledger(finished) for kind in ("csv", "png")}
    assert tracked_by_nobody(finished) == dict.fromkeys({"dvc.lock", "submissions/ledger.csv", *kept}, "??")


def appended(file, text):
    with file.open("a") as opened:
        opened.write(text)


def test_each_change_runs_what_it_concerns_and_nothing_else(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    code, judged = project.root / "pipeline", ["decide@ast", "decide@wav2vec2", "ensemble", "score", "report"]
    before = tracked_by_nobody(project)
    appended(project.layout.params, "# a comment\n")
    output = project.run(*REPRO)
    assert stages_run(output) == []
    assert "Data and pipelines are up to date." in output
    assert len(ledger(project)) == 3
    assert tracked_by_nobody(project) == {**before, "params.yaml": " M"}

    project.configure(lambda params: params["runs"]["ast"].update(reported="private 0.85727"))
    appended(code / "listening" / "gate.py", "# a comment\n")
    assert stages_run(project.run(*REPRO)) == ["resolve"]

    # What is edited while it runs is for the next: DVC records each stage with the values that resolve has read.
    project.configure(lambda params: params.update(decide={"rule": "none"}))
    process = project.start_warm(*REPRO)
    project.wait(process, lambda: json.loads(project.layout.resolved.read_text())["decide"] == {"rule": "none"})
    project.configure(lambda params: params.update(decide={"rule": "published"}))
    assert stages_run(process.communicate()[0]) == ["resolve", *judged]
    project.configure(lambda params: params.update(decide={"rule": "none"}))
    for run in [*RUNS, "ensemble"]:
        assert json.loads((project.layout.submission(run) / "metrics.json").read_text())["rule"] == "none"
    assert len(ledger(project)) == 6
    # The same weights come out, but DVC cannot know; what they say is the same, so nothing is decided anew.
    appended(code / "models" / "ast.py", "# a comment\n")
    ran = stages_run(project.run(*REPRO))
    assert ran == ["resolve", "check", "encoder_digest", "train@ast-0", "predict@ast", "report"]


def test_what_was_listed_for_a_while_goes_though_the_parameters_are_known_already(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    before = project.params
    project.configure(lambda params: params["runs"].update(again={"like": "ast"}))
    assert stages_run(project.run(*REPRO, "resolve")) == ["resolve"]
    left = project.layout.run("again").model(0)
    left.mkdir(parents=True)
    project.configure(lambda params: params.update(before))
    project.configure(lambda params: params["runs"].pop("again", None))
    assert stages_run(project.run(*REPRO, "resolve")) == ["resolve"]
    assert not left.exists()


def test_scores_are_noted_where_they_are_gone_though_dvc_knows_them(finished, tmp_path):
    """The ledger and the files under their scores are in no cache."""
    project = finished.copy(tmp_path / "project")
    before = project.params
    kept = set(project.layout.submissions.glob("0.*"))
    project.configure(lambda params: params.update(decide={"rule": "none"}))
    project.run(*REPRO, "score")
    for path in (*project.layout.submissions.glob("0.*"), project.layout.ledger):
        path.unlink()
    project.configure(lambda params: params.update(before))
    assert "score" in stages_run(project.run(*REPRO, "score"))
    assert set(project.layout.submissions.glob("0.*")) == kept
    assert len(ledger(project)) == 3


def test_recordings_are_those_of_the_seed_after_another_was_tried(finished, tmp_path):
    """DVC's cache holds the manifest, but not what it tells of."""
    project = finished.copy(tmp_path / "project")
    for seed in (8, 7):
        project.configure(lambda params, seed=seed: params.update(seed=seed))
        assert "download" in stages_run(project.run(*REPRO, "download"))
    manifest = json.loads((project.layout.artifacts / "download" / "manifest.json").read_text())
    for file in manifest["files"]:
        assert sha256_of(project.root / file["path"]) == file["sha256"]


def test_an_added_run_is_trained_alone_and_continues_when_dvc_is_killed(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    layout = project.layout
    paths = layout.run("again")

    def change(params):
        params["runs"]["again"] = params["runs"]["ast"]
        del params["runs"]["wav2vec2"]

    project.configure(change)
    output = project.kill_when(project.start_warm(*REPRO), lambda: finished_checkpoint(paths.work(0)))
    assert stages_run(output) == ["resolve", "check", "encoder_digest", "train@again-0"]
    assert not paths.trained.exists() or not paths.model(0).exists()

    output = project.run(*REPRO)
    assert stages_run(output) == [
        "train@again-0",
        "predict@again",
        "vote",
        "decide@again",
        "ensemble",
        "score",
        "report",
    ]
    assert "epoch   1 " not in output
    assert "epoch   4 " in output
    # The same parameters under another name: the kill has changed no bit of the weights.
    again, ast = (load_file(layout.run(run).model(0) / "model.safetensors") for run in ("again", "ast"))
    assert again.keys() == ast.keys()
    assert all(torch.equal(again[name], ast[name]) for name in ast)

    # What the removed run left is gone.
    assert not layout.submission("wav2vec2").exists()
    assert not layout.run("wav2vec2").trained.exists()
    assert not layout.run("wav2vec2").probabilities.exists()
    assert set(json.loads((layout.submission("ensemble") / "metrics.json").read_text())["weights"]) == {"again", "ast"}
    assert set(json.loads(layout.scores.read_text())) == {"again", "ast", "ensemble"}
    assert stages_run(project.run(*REPRO)) == []


def test_a_second_clone_pulls_from_a_remote_and_computes_nothing(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    project.dvc("remote", "add", "--default", "storage", "../storage")
    project.dvc("push", "--run-cache")
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.org"]
    for command in (["add", "-A"], ["commit", "-qm", "results"], ["clone", "-q", ".", str(tmp_path / "second")]):
        subprocess.run([*git, *command], cwd=project.root, check=True)
    second = Project(tmp_path / "second")
    second.dvc("pull")
    output = second.run(*REPRO, "--dry")
    # The page alone: it is in no cache, since it tells of what lies on this disk.
    assert stages_run(output) == ["report"]
    assert {path.name for path in (second.root / "artifacts").iterdir()} >= {"train", "predict", "prepare", "score"}


def test_an_experiment_in_a_copy_finds_the_project_s_files_and_may_be_applied(clone, tiny_params, tmp_path):
    """DVC makes the copy somewhere below .dvc, and writes params.yaml anew, without our quotes."""
    tiny_params["runs"] = {"net": {"model": "linear", "parameters": {"frames": 10}}}
    tiny_params["prepare"] |= {"commands": ["yes", "no", "on", "off"], "silence": {"train": 1}}
    project = clone(tmp_path / "project", tiny_params)
    change = ("-S", "prepare.silence.train=2", "-S", "seed=8")
    project.dvc("exp", "run", "--temp", "--name", "louder", *change, "prepare")
    assert project.params == tiny_params
    assert not project.layout.prepare.exists()
    assert (project.root / "data" / "demo" / "train.7z").exists()  # not in the copy, which is gone
    project.dvc("exp", "run", "--queue", "--name", "quieter", "-S", "seed=9", "resolve")
    project.dvc("queue", "start")
    while "Success" not in (queue := project.dvc("queue", "status")):
        assert "Failed" not in queue, project.outcome(sys.executable, "-m", "dvc", "queue", "logs", "quieter")
    project.dvc("queue", "stop")  # DVC's worker stays a while
    shown = project.dvc("exp", "show", "--csv")
    assert "louder" in shown
    assert "quieter" in shown
    # DVC brings what the experiment made, and then complains of the stages that have never run.
    project.outcome(sys.executable, "-m", "dvc", "exp", "apply", "louder")
    tiny_params["prepare"]["silence"]["train"], tiny_params["seed"] = 2, 8
    assert params.read(project.layout.params) == tiny_params
    counts = Corpus.open(project.layout.prepare).description["counts"]["train"]
    assert counts["silence"] == 2 * counts["yes"]


def test_an_encoder_concerns_the_probes_and_no_other_run(finished, publish, tmp_path):
    project = finished.copy(tmp_path / "project")
    encoder = publish("wav2vec2", tmp_path / "encoder")

    def change(params):
        params["encode"] = {"checkpoint": str(encoder)}
        params["runs"]["probe"] = {"model": "probes"}

    project.configure(change)
    ran = stages_run(project.run(*REPRO, "encoder_digest"))
    assert ran == ["resolve", "check", "encode", "encoder_digest"]
    trainings = (f"train@{run}-0" for run in ("probe", *RUNS))
    assert stages_run(project.run(*REPRO, "--dry", *trainings)) == ["train@probe-0"]


def test_a_run_that_cannot_be_built_stops_it_before_any_work(clone, tiny_params, publish, tmp_path):
    runs = tiny_params["runs"]
    runs["cached"] = {"model": "ast", "parameters": {"checkpoint": "someone/small-ast"}}
    runs["absent"] = {"model": "wav2vec2", "parameters": {"checkpoint": "facebook/wav2vec2-base"}}
    runs["typo"] = {"model": "ast", "trainings": {}}
    project = clone(tmp_path / "project", tiny_params)
    hub = tmp_path / "project.hub" / "hub" / "models--someone--small-ast"
    publish("ast", hub / "snapshots" / "0123abc")
    (hub / "refs").mkdir()
    (hub / "refs" / "main").write_text("0123abc")

    output, status = project.outcome(*REPRO, HF_HUB_OFFLINE="1")  # else it tries for 20 seconds
    assert status != 0
    assert stages_run(output) == ["resolve", "check"]
    assert "Traceback" not in output
    assert "cached: ready to train" in output
    assert "Run 'absent': The checkpoint 'facebook/wav2vec2-base' is not here" in output
    assert "python -m pipeline check" in output
    assert "Run 'typo'" in output
    assert "trainings: unknown key" in output
    assert [path.name for path in (project.root / "artifacts").iterdir()] == ["params.json"]
    assert not (project.root / "data").exists()


def test_what_the_user_can_mend_ends_with_status_1_and_a_message(finished):
    output, status = finished.outcome(*VERB, "decide", "asd")
    assert status == 1
    assert output == "error: params.yaml lists no run 'asd'. It should be one of: ast, wav2vec2.\n"


def test_a_full_disk_ends_with_a_message_and_leaves_what_was_finished(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    corpus = {path: sha256_of(path) for path in project.layout.prepare.rglob("*") if path.is_file()}
    # No file may pass 64 KiB: the first thing that does not fit is met at the same call as on a full disk.
    output, status = project.outcome("bash", "-c", f"ulimit -f 64; {sys.executable} -m pipeline prepare")
    assert status == 1
    assert re.search(r"^error: Cannot write: a file may not be so big\. It was: .*File too large", output, re.M), output
    assert "Traceback" not in output
    left = [path for path in project.layout.prepare.parent.rglob("*") if ".part" in path.name]
    assert {path: sha256_of(path) for path in corpus} == corpus
    assert not left
