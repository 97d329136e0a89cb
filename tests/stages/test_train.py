"""Training a run of the tiny competition: what it learns from, what it publishes, and that a kill changes nothing."""

import os
import re
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from safetensors.torch import load_file

from pipeline import metrics, models
from pipeline.clips.corpus import Corpus
from pipeline.errors import PipelineError
from pipeline.examples import pseudo_labels
from pipeline.examples.from_corpus import training_data_of
from pipeline.examples.target import target_of
from pipeline.files import read_json, write_json
from pipeline.jobs import watching
from pipeline.jobs.fitting import fold_learnt
from pipeline.jobs.recipes import Run, read_run
from pipeline.layout import Layout
from pipeline.learners import epochs
from pipeline.learners.neural_classifier import NeuralClassifier
from pipeline.learners.training import Training
from pipeline.scoring.probabilities import Probabilities
from pipeline.stages import predict, train

VERB = (sys.executable, "-m", "pipeline")


def weights(layout, run):
    return load_file(layout.run(run).model(0) / "model.safetensors")


def same(one, other):
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


def data_of(corpus, run):
    target, read = target_of(corpus, run), corpus.samples
    return training_data_of(corpus, 0, run, target, read, run.augmentation, run.rebalancing, seed=7)


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["ast", "wav2vec2"])
def test_what_is_published_describes_itself(name, finished):
    layout, paths = finished.layout, finished.layout.run(name)
    assert {path.name for path in paths.model(0).iterdir()} == {
        *("config.json", "model.safetensors", "preprocessor_config.json", "run.json", "epochs.npy")
    }
    about = read_json(paths.model(0) / "run.json")
    corpus = Corpus.open(layout.prepare)
    assert about["labels"] == corpus.vocabulary.labels("words" if name == "wav2vec2" else "commands")
    assert (about["run"], about["model"], about["fold"], about["seed"]) == (name, name, 0, 7)
    assert (about["corpus"], about["pseudo_labels"]) == (corpus.fingerprint, None)
    assert about["training"]["batch_size"] == 16
    assert set(about["versions"]) == {"torch", "transformers", "audiomentations"}
    # The checkpoints went when the model had its place.
    assert [path.name for path in paths.work(0).iterdir() if path.is_dir()] == []


@pytest.mark.parametrize("name", ["ast", "wav2vec2"])
def test_the_best_epoch_is_that_of_the_published_weights_and_judged_as_the_submission_is(name, finished):
    paths, corpus = finished.layout.run(name), Corpus.open(finished.layout.prepare)
    data = data_of(corpus, read_run(finished.params, name))
    classifier = models.find(name).restore(paths.model(0), Training())
    values = classifier.predict_proba(data.validation.read(data.validation.rows))
    # Words are summed into the label that the submission gives them, so unknown has the say of one command.
    summed = np.stack([values[:, data.judged == label].sum(axis=1) for label in range(12)], axis=1)
    counts = metrics.confusion(data.judged[data.validation.targets], summed.argmax(axis=1), 12)
    best = pytest.approx(np.nanmean(metrics.recalls(counts)))
    assert read_json(paths.live(0) / "metrics.json")["best_balanced_accuracy"] == best
    curve = paths.live(0) / "plots" / "metrics" / "validation" / "balanced_accuracy.tsv"
    lines = [line.split("\t") for line in curve.read_text().splitlines()[1:]]
    assert [step for step, _ in lines] == ["1", "2", "3", "4"]
    assert max(float(value) for _, value in lines) == best
    kept = epochs.load(paths.model(0))
    assert kept.shape == (4, len(values), len(classifier.labels))
    assert np.abs(kept - values).max(axis=(1, 2)).min() < 1e-3  # one of them, at half precision


def test_killed_before_and_after_a_checkpoint_it_ends_with_the_same_weights(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    layout, run = project.layout, "wav2vec2"
    paths, uninterrupted = layout.run(run), finished.layout.run(run)
    shutil.rmtree(paths.trained)
    stale = paths.work(0) / "0123456789abcdef"
    (stale / "checkpoint-3").mkdir(parents=True)

    def work():
        return [path for path in paths.work(0).iterdir() if path.is_dir() and path != stale]

    def checkpoints():
        """Return those that are whole: the state is written last, and a kill may leave half of it."""
        states = paths.work(0).glob("*/checkpoint-*/trainer_state.json")
        return [state for state in states if state.read_text().rstrip().endswith("}")]

    project.kill_when(project.start_warm(*VERB, "train", run), work)
    assert checkpoints() == []
    assert not stale.exists()
    project.kill_when(project.start_warm(*VERB, "train", run), checkpoints)
    assert checkpoints() != []
    assert not paths.model(0).exists()

    third = project.start(*VERB, "train", run)
    lock = paths.work(0) / "lock"
    project.wait(third, lambda: lock.exists() and lock.read_text().startswith(f"process {third.pid} on "))
    os.kill(third.pid, signal.SIGSTOP)  # or it might have ended before the fourth asks
    told = rf"Another training of 'wav2vec2, fold 0' is going on \(process {third.pid} on .*\).\n.*`kill`"
    with pytest.raises(PipelineError, match=told):
        train.main(layout, run)
    os.kill(third.pid, signal.SIGCONT)
    output, _ = third.communicate()
    assert third.returncode == 0, output
    assert "epoch   1 " not in output
    assert "epoch   4 " in output

    assert same(weights(layout, run), weights(finished.layout, run))
    assert files(paths.live(0)) == files(uninterrupted.live(0))
    assert files(paths.model(0)) == files(uninterrupted.model(0))
    assert work() == []


def test_at_once_the_next_one_learns_beside_it_and_its_own_stage_only_publishes(finished, tmp_path, capfd, monkeypatch):
    project = finished.copy(tmp_path / "project")
    project.configure(lambda params: params["train"].update(at_once=2))
    monkeypatch.chdir(project.root)
    layout, runs = Layout(), ("ast", "wav2vec2")
    for run in runs:
        shutil.rmtree(layout.run(run).trained)
    beside = layout.run("wav2vec2").work(0)

    def checkpoints():
        return list(beside.glob("*/checkpoint-*/trainer_state.json"))

    # One is killed alone: the other ends with it, and what it had learnt is gone on with.
    first = project.start(*VERB, "train", "ast")
    project.wait(first, checkpoints)
    other = psutil.Process(int((beside / "lock").read_text().split()[1]))
    assert other.cmdline()[-4:] == ["-m", "pipeline.jobs.trainings", "wav2vec2", "0"]
    first.kill()
    other.wait(timeout=30)
    first.communicate()

    train.main(layout, "ast")
    output, log = capfd.readouterr().out, (beside / "beside.log").read_text()
    assert "beside it: wav2vec2, fold 0; what it says goes to artifacts/work/wav2vec2/0/beside.log" in output
    assert output.count("epoch   4 ") == log.count("epoch   4 ") == 1
    assert "epoch   1 " not in log
    assert not layout.run("wav2vec2").trained.exists()
    assert watching.now(layout, project.params)["done"] == 2

    # A stage that finds its own learnt begins nothing: else each would have one core to itself.
    project.configure(lambda params: params["runs"].update(later={"like": "ast", "seed": 5}))
    train.main(layout, "wav2vec2")
    output = capfd.readouterr().out
    assert "epoch" not in output
    assert "beside it" not in output
    for run in runs:
        # The same as one after the other: each has the threads that the variable of this suite's processes says.
        assert files(layout.run(run).model(0)) == files(finished.layout.run(run).model(0))
        assert files(layout.run(run).live(0)) == files(finished.layout.run(run).live(0))
        assert not [path for path in layout.run(run).work(0).iterdir() if path.is_dir()]


def test_what_fails_beside_a_training_is_told_and_does_it_no_harm(finished, tmp_path, capfd, monkeypatch):
    project = finished.copy(tmp_path / "project")
    short = {**project.params["runs"]["ast"], "training": {"epochs": 1}}
    unlucky = {**short, "training": {"epochs": 1, "learning_rate": 1e30}}
    project.configure(
        lambda params: params.update(train={**params["train"], "at_once": 2}, runs={"short": short, "unlucky": unlucky})
    )
    monkeypatch.chdir(project.root)
    layout = Layout()
    train.main(layout, "short")
    told = "unlucky, fold 0: ended with 1; its own stage goes on with it. What it said: artifacts/work/unlucky/0/beside"
    assert told in capfd.readouterr().out
    assert "error: The training diverged in epoch 1" in Path("artifacts/work/unlucky/0/beside.log").read_text()
    assert (layout.run("short").model(0) / "run.json").exists()

    # Where a fleet hands out the trainings, none begins another.
    shutil.rmtree(layout.run("short").trained)
    monkeypatch.setenv("PIPELINE_ALONE", "1")
    train.main(layout, "short")
    assert "beside it" not in capfd.readouterr().out


def test_shared_batches_and_trainings_at_once_exclude_each_other(finished, tmp_path):
    layout, params = Layout(tmp_path), finished.params
    params["runs"]["ast"].update(processes=2, at_once=2)
    write_json(layout.params, params)
    with pytest.raises(PipelineError, match="`at_once` trainings have a process each: delete"):
        train.main(layout, "ast")


WITNESS = '''
"""A gru, which has batch norms, that notes which clips it was taught."""

import os
import time
from dataclasses import replace
from pathlib import Path

from pipeline.models.gru import Params, Training, build, restore


def build(*arguments, gru=build):
    classifier = gru(*arguments)
    whole = classifier.fit

    def fit(data, work, live):
        def read(rows):
            with Path(f"seen-{os.environ['RANK']}-of-{os.environ['WORLD_SIZE']}").open("a") as file:
                file.write(" ".join(map(str, rows)) + "\\n")
            return data.train.read(rows)

        whole(replace(data, train=replace(data.train, read=read)), work, live)
        while os.environ["RANK"] != "0" and work.exists():  # the first is always quicker to its end
            time.sleep(0.01)

    classifier.fit = fit
    return classifier
'''


def test_two_processes_share_each_epoch(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    (project.root / "pipeline" / "models" / "witness.py").write_text(WITNESS)
    project.configure(
        lambda params: params["runs"].update(
            witness={
                "model": "witness",
                "parameters": {"channels": [4], "hidden": 8, "num_mel_bins": 16},
                "training": {"epochs": 2, "batch_size": 8, "eval_batch_size": 4, "average_decay": 0.5},
                "processes": 2,
            }
        )
    )
    data = data_of(Corpus.open(project.layout.prepare), Run(model="ast"))  # the clips are not the model's
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    output = project.run(*VERB, "train", "witness", TMPDIR=str(temporary))
    assert output.count("epoch   2 ") == 1  # one of them reports
    assert "find_unused_parameters" not in output
    assert not [path.name for path in temporary.iterdir() if path.name.startswith(("launched-", "torchelastic_"))]

    seen = [
        [[int(row) for row in line.split()] for line in (project.root / f"seen-{rank}-of-2").read_text().splitlines()]
        for rank in (0, 1)
    ]
    steps = -(-len(data.epoch_indices(0)) // 8)
    for epoch in (0, 1):
        batches = [batch for rank in (0, 1) for batch in seen[rank][epoch * steps : (epoch + 1) * steps]]
        assert [len(batch) for batch in batches] == [4] * (2 * steps)
        rows = [row for batch in batches for row in batch]
        drawn = data.train.rows[data.epoch_indices(epoch)].tolist()
        assert set(rows) == set(drawn)
        # The last step is filled up, so that both have as much to do; no other clip comes twice.
        assert len(rows) - len(drawn) == steps * 8 - len(drawn) < 8

    paths = project.layout.run("witness")
    assert files(paths.work(0)) == {}
    taught = weights(project.layout, "witness")
    assert all(torch.isfinite(value).all() for value in taught.values())
    assert read_json(paths.live(0) / "metrics.json")["step"] == 2

    # Both judge, one writes, in the order of the clips, which are no multiple of what the two judge at a time. And both
    # judge the net that is kept, with its statistics of the batches, not each with its own.
    values = (
        models.find("gru").restore(paths.model(0), Training()).predict_proba(data.validation.read(data.validation.rows))
    )
    kept = epochs.load(paths.model(0))
    assert len(values) % 8
    assert kept.shape == (2, *values.shape)
    assert np.abs(kept - values).max(axis=(1, 2)).min() < 1e-3  # at half precision


def test_one_of_two_processes_that_fails_is_told(finished):
    code = "from pipeline.jobs.launching import launch; launch(2, 'train', 'nobody', '0')"
    failed, status = finished.outcome(sys.executable, "-c", code)
    assert status == 1
    assert "error: params.yaml lists no run 'nobody'." in failed
    told = r"Process [01] of the 2 that run `train nobody 0` ended with -?\d+; what it said stands above\."
    assert re.search(told, failed), failed


@pytest.mark.parametrize("name", ["ast", "wav2vec2"])
def test_a_run_may_start_from_a_published_checkpoint(name, finished, publish, tmp_path):
    project = finished.copy(tmp_path / "project")
    folder = publish(name, tmp_path / "published")
    project.configure(
        lambda params: params["runs"].update(
            tuned={
                "model": name,
                "parameters": {"checkpoint": str(folder)},
                "training": {"epochs": 1, "learning_rate": 1e-12},
            }
        )
    )
    train.main(project.layout, "tuned")
    published, tuned = load_file(folder / "model.safetensors"), weights(project.layout, "tuned")
    assert published.keys() == tuned.keys()
    for tensor in tuned:
        # With next to no learning, all but the head is still what was published.
        head = tensor in ("classifier.dense.weight", "classifier.dense.bias", "classifier.weight", "classifier.bias")
        assert (tuned[tensor].shape == published[tensor].shape) is not head, tensor
        assert head or torch.allclose(tuned[tensor], published[tensor], atol=1e-6), tensor
    extractors = [
        read_json(where / "preprocessor_config.json") for where in (folder, project.layout.run("tuned").model(0))
    ]
    assert extractors[0] == extractors[1]


def test_a_net_that_learnt_from_the_judges_of_a_fold_is_no_checkpoint_for_it(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    folder = project.layout.run("ast").model(0)
    tuned = {"model": "ast", "parameters": {"checkpoint": str(folder)}, "training": {"epochs": 1}}
    project.configure(lambda params: params["runs"].update(tuned=tuned))
    about = read_json(folder / "run.json")
    write_json(folder / "run.json", {**about, "fold": 3})
    with pytest.raises(
        PipelineError, match=r"runs\.tuned: its checkpoint was trained here, for fold 3, .* judge fold 0"
    ):
        train.main(project.layout, "tuned")
    corpus = Corpus.open(project.layout.prepare)
    assert fold_learnt(folder, corpus) == 3
    write_json(folder / "run.json", {**about, "corpus": "another"})
    assert fold_learnt(folder, corpus) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"training": {"epochs": 0}}, "section runs.ast.training:\n  epochs: .*found 0"),
        ({"training": {"epoch": 2}}, "epoch: unknown key"),
        ({"parameters": {"layers": 2}}, "section runs.ast.parameters:\n  layers: unknown key"),
        ({"model": "asd"}, "Known models: ast"),
    ],
)
def test_bad_values_stop_it_before_anything_is_written(change, message, finished, tmp_path):
    layout = Layout(tmp_path)
    params = finished.params
    params["runs"]["ast"].update(change)
    write_json(layout.params, params)  # JSON is YAML
    shutil.copytree(finished.layout.prepare, layout.prepare)
    with pytest.raises(PipelineError, match=message):
        train.main(layout, "ast")
    assert [path.name for path in layout.artifacts.iterdir()] == ["prepare"]


def test_without_a_corpus_it_says_what_to_run(finished, tmp_path):
    shutil.copy(finished.layout.params, tmp_path)
    with pytest.raises(PipelineError, match=r"no finished corpus.*dvc repro prepare"):
        train.main(Layout(tmp_path), "ast")


DETECTOR = {"channels": [2], "num_mel_bins": 8, "hidden": 4, "layers": 1}


def test_a_run_may_have_a_detector_of_its_own_for_silence_and_unknown(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    detector = {"model": "gru", "parameters": DETECTOR}
    run = {"model": "lstm", "parameters": DETECTOR, "training": {"epochs": 1}, "detector": detector}
    project.configure(lambda params: params["runs"].update(apart=run))
    train.main(project.layout, "apart")
    predict.main(project.layout, "apart")
    paths = project.layout.run("apart")
    about = read_json(paths.model(0) / "run.json")
    assert about["detector"]["model"] == "gru"
    assert about["detector"]["training"]["epochs"] == 4
    # One epoch of the one, four of the other: each block is judged by what was chosen without it.
    assert [len(epochs.load(folder)) for folder in (paths.model(0), paths.model(0) / "detector")] == [1, 4]
    assert (paths.probabilities / "nested").exists()

    corpus = Corpus.open(project.layout.prepare)
    rows = corpus.judged_rows(0)
    words = models.find("lstm").restore(paths.model(0), Training())
    apart = models.find("gru").restore(paths.model(0) / "detector", Training())
    assert apart.labels == ["word", "unknown", "silence"]
    judged = Probabilities.read(paths.probabilities / "out_of_fold.parquet")
    assert judged.labels == words.labels
    found = dict(zip(judged.clips, judged.values, strict=True))
    expected = apart.predict_proba(corpus.samples(rows))
    for clip, (word, *others) in zip(corpus.rows["clip"].iloc[rows], expected, strict=True):
        assert found[clip][-2:] == pytest.approx(others, abs=1e-5)
        assert found[clip][:-2].sum() == pytest.approx(word, abs=1e-5)


def test_a_fold_that_the_corpus_has_not_is_refused(finished, tmp_path):
    layout = Layout(tmp_path)
    shutil.copy(finished.layout.params, layout.params)
    shutil.copytree(finished.layout.prepare, layout.prepare)
    with pytest.raises(PipelineError, match=r"has 1 fold.*there is no fold 1"):
        train.main(layout, "ast", 1)
    assert not layout.run("ast").unfinished.exists()


def test_a_student_learns_the_test_clips_too_as_its_own_fold_s_labels_say(finished, tmp_path, monkeypatch):
    project = finished.copy(tmp_path / "project")
    student = {"like": "ast", "pseudo_labels": {"share": 0.5}, "training": {"epochs": 2}}
    project.configure(lambda params: params.update(students={"pupil": student}))
    layout, corpus = project.layout, Corpus.open(project.layout.prepare)
    labels, rows = corpus.vocabulary.submission_labels, corpus.select("test")[::2]
    given = np.random.default_rng(1).dirichlet(np.ones(12), len(rows)).astype(np.float32)
    clips = corpus.rows["clip"].iloc[rows].tolist()
    with pytest.raises(PipelineError, match=r"pupil/0\.parquet\. Run: dvc repro"):
        train.main(layout, "pupil")
    pseudo_labels.write(layout.pseudo_labels("pupil") / "0.parquet", clips, labels, given)
    learnt = []
    fit = NeuralClassifier.fit
    monkeypatch.setattr(NeuralClassifier, "fit", lambda *arguments: learnt.append(arguments[1]) or fit(*arguments))
    train.main(layout, "pupil")
    (data,) = learnt
    archive = len(corpus.training_rows(0))
    assert data.train.rows[:archive].tolist() == corpus.training_rows(0).tolist()
    assert data.train.rows[archive:].tolist() == rows.tolist()
    assert np.abs(data.train.targets[archive:] - given).max() < 1e-6
    assert set(data.validation.rows.tolist()) == set(corpus.judged_rows(0).tolist())
    drawn = data.epoch_indices(0)
    assert (drawn >= archive).sum() == min(len(rows), round(0.5 * (drawn < archive).sum()))
    about = read_json(layout.run("pupil", round_=2).model(0) / "run.json")
    assert about["pseudo_labels"]["share"] == 0.5
    assert len(about["pseudo_labels"]["sha256"]) == 64
