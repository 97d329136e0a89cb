"""Training a run of the tiny competition: what it learns from, what it publishes, and that a kill changes nothing."""

import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForAudioClassification

from pipeline import metrics, models
from pipeline.clips.corpus import Corpus
from pipeline.errors import PipelineError
from pipeline.examples.target import target_of
from pipeline.files import read_json, write_json
from pipeline.layout import Layout
from pipeline.learners.training import Training
from pipeline.scoring.probabilities import Probabilities
from pipeline.stages import predict, train

VERB = (sys.executable, "-m", "pipeline")


def weights(layout, run):
    return load_file(layout.model(run) / "model.safetensors")


def same(one, other):
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


def training_data_of(corpus, run):
    target = target_of(corpus, run.target, run.vocabulary, run.presence)
    return train.training_data_of(corpus, run, target, corpus.samples, seed=7)


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["ast", "wav2vec2"])
def test_what_is_published_describes_itself(name, finished):
    layout = finished.layout
    assert {path.name for path in layout.model(name).iterdir()} == {
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "run.json",
    }
    about = read_json(layout.model(name) / "run.json")
    corpus = Corpus.open(layout.prepare)
    assert about["labels"] == corpus.vocabulary.labels("words" if name == "wav2vec2" else "commands")
    assert (about["run"], about["model"], about["seed"], about["corpus"]) == (name, name, 7, corpus.fingerprint)
    assert about["training"]["batch_size"] == 16
    assert set(about["versions"]) == {"torch", "transformers", "audiomentations"}
    # The checkpoints went when the model had its place.
    assert [path.name for path in layout.work(name).iterdir() if path.is_dir()] == []


@pytest.mark.parametrize("name", ["ast", "wav2vec2"])
def test_the_best_balanced_accuracy_is_that_of_the_published_weights(name, finished):
    layout = finished.layout
    corpus = Corpus.open(layout.prepare)
    labels = read_json(layout.model(name) / "run.json")["labels"]
    data = training_data_of(corpus, train.read_run(finished.params, name))
    classifier = models.find(name).restore(layout.model(name), Training())
    predicted = classifier.predict_proba(data.validation.read(data.validation.rows)).argmax(axis=1)
    recalls = metrics.recalls(metrics.confusion(data.validation.targets, predicted, len(labels)))
    assert read_json(layout.live(name) / "metrics.json")["best_balanced_accuracy"] == pytest.approx(np.nanmean(recalls))
    curve = (
        (layout.live(name) / "plots" / "metrics" / "validation" / "balanced_accuracy.tsv").read_text().splitlines()[1:]
    )
    assert [line.split("\t")[0] for line in curve] == ["1", "2", "3", "4"]
    assert max(float(line.split("\t")[1]) for line in curve) == pytest.approx(np.nanmean(recalls))


@pytest.mark.parametrize("vocabulary", ["commands", "words"])
def test_a_lesson_holds_the_clips_of_the_splits_with_their_labels(vocabulary, finished):
    corpus = Corpus.open(finished.layout.prepare)
    labels = corpus.vocabulary.labels(vocabulary)
    data = training_data_of(corpus, train.Run(model="ast", vocabulary=vocabulary))
    for split, examples in (("train", data.train), ("validation", data.validation)):
        rows = corpus.rows.iloc[examples.rows]
        assert set(rows["split"]) == {split}
        assert len(rows) == (corpus.rows["split"] == split).sum()
        expected = [corpus.vocabulary.label_of(word, vocabulary) for word in rows["word"]]
        assert [labels[target] for target in examples.targets] == expected
    clips = data.train.read(data.train.rows[:3])
    augmented = data.augment(clips, [np.random.default_rng(number) for number in range(3)])
    assert (clips.dtype, augmented.dtype, augmented.shape) == (np.int16, np.float32, (3, 16_000))


def test_unknown_words_are_drawn_anew_each_epoch_where_they_are_one_label(finished):
    corpus = Corpus.open(finished.layout.prepare)
    for vocabulary in ("commands", "words"):
        labels = corpus.vocabulary.labels(vocabulary)
        data = training_data_of(corpus, train.Run(model="ast", vocabulary=vocabulary))
        first, second = (data.epoch_indices(epoch).tolist() for epoch in (0, 1))
        assert len(first) == len(second)
        if vocabulary == "words":
            assert first == second == list(range(len(data.train.rows)))
        else:
            changed = set(first) ^ set(second)
            assert {labels[data.train.targets[position]] for position in changed} == {"unknown"}


def test_killed_before_and_after_a_checkpoint_it_ends_with_the_same_weights(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    layout, run = project.layout, "wav2vec2"
    shutil.rmtree(layout.model(run))
    shutil.rmtree(layout.live(run))
    stale = layout.work(run) / "0123456789abcdef"
    (stale / "checkpoint-3").mkdir(parents=True)

    def work():
        return [path for path in layout.work(run).iterdir() if path.is_dir() and path != stale]

    def checkpoints():
        return list(layout.work(run).glob("*/checkpoint-*/trainer_state.json"))

    project.kill_when(project.start(*VERB, "train", run), work)
    assert checkpoints() == []
    assert not stale.exists()
    project.kill_when(project.start(*VERB, "train", run), checkpoints)
    assert checkpoints() != []
    assert not layout.model(run).exists()

    third = project.start(*VERB, "train", run)
    holder = layout.work(run) / "pid"
    project.wait(third, lambda: holder.read_text() == str(third.pid))
    os.kill(third.pid, signal.SIGSTOP)  # or it might have ended before the fourth asks
    with pytest.raises(PipelineError, match=rf"Another training of 'wav2vec2' is going on.*\n.*kill {third.pid}$"):
        train.main(layout, run)
    os.kill(third.pid, signal.SIGCONT)
    output, _ = third.communicate()
    assert third.returncode == 0, output
    assert "epoch   1 " not in output
    assert "epoch   4 " in output

    assert same(weights(layout, run), weights(finished.layout, run))
    assert files(layout.live(run)) == files(finished.layout.live(run))
    assert files(layout.model(run)) == files(finished.layout.model(run))
    assert work() == []


WITNESS = '''
"""AST that notes which clips it was taught."""

import os
from dataclasses import replace
from pathlib import Path

from pipeline.models.ast import Params, Training, build, check, restore


def build(*arguments, ast=build):
    classifier = ast(*arguments)
    whole = classifier.fit

    def fit(data, work, live):
        def read(rows):
            with Path(f"seen-{os.environ['RANK']}-of-{os.environ['WORLD_SIZE']}").open("a") as file:
                file.write(" ".join(map(str, rows)) + "\\n")
            return data.train.read(rows)

        whole(replace(data, train=replace(data.train, read=read)), work, live)

    classifier.fit = fit
    return classifier
'''


def test_two_processes_share_each_epoch(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    (project.root / "pipeline" / "models" / "witness.py").write_text(WITNESS)
    project.configure(
        lambda params: params["runs"].update(
            witness={**params["runs"]["ast"], "model": "witness", "training": {"epochs": 2, "batch_size": 8}}
        )
    )
    run = train.Run(model="witness")  # what it learns from does not hang on the model
    corpus = Corpus.open(project.layout.prepare)
    data = training_data_of(corpus, run)
    output = project.run("torchrun", "--nproc_per_node", "2", "-m", "pipeline", "train", "witness")
    assert output.count("epoch   2 ") == 1  # one of them reports

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

    layout = project.layout
    assert files(layout.work("witness")).keys() == {Path("lock"), Path("pid")}
    taught = weights(layout, "witness")
    assert all(torch.isfinite(value).all() for value in taught.values())
    model = AutoModelForAudioClassification.from_pretrained(layout.model("witness"))
    assert model.config.label2id["silence"] == 11
    assert read_json(layout.live("witness") / "metrics.json")["step"] == 2


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
    extractors = [read_json(where / "preprocessor_config.json") for where in (folder, project.layout.model("tuned"))]
    assert extractors[0] == extractors[1]


def test_a_run_s_own_keys_come_over_those_that_all_share():
    tree = {
        "train": {"training": {"epochs": 3, "batch_size": 16}, "vocabulary": "words"},
        "runs": {"one": {"model": "ast", "training": {"epochs": 9}}, "two": {"model": "ast", "vocabulary": "commands"}},
    }
    one, two = train.read_run(tree, "one"), train.read_run(tree, "two")
    assert one.training == {"epochs": 9, "batch_size": 16}
    assert two.training == {"epochs": 3, "batch_size": 16}
    assert (one.vocabulary, two.vocabulary) == ("words", "commands")


def test_a_runs_augmentation_replaces_the_shared_one():
    tree = {
        "train": {"augmentation": [{"Gain": {"p": 0.1}}, "Reverse"]},
        "runs": {"plain": {"model": "ast", "augmentation": []}, "shared": {"model": "ast"}},
    }
    assert train.read_run(tree, "plain").augmentation.root == []
    assert train.read_run(tree, "shared").augmentation.root == [{"Gain": {"p": 0.1}}, {"Reverse": {}}]


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({}, "lists no run 'ast'. Runs: none"),
        ({"runs": {"other": {"model": "ast"}}}, "lists no run 'ast'. Runs: other"),
        ({"runs": {"ast": None}}, "'runs.ast' must hold keys and values; found None"),
        ({"runs": {"ast": {}}}, "section runs.ast:\n  model: missing"),
        (
            {"runs": {"ast": {"model": "ast", "vocabulry": "words"}}},
            "vocabulry: unknown key. Known keys: target, presence, model, vocab",
        ),
        ({"runs": {"ast": {"model": "ast", "vocabulary": "letters"}}}, "vocabulary: .*found 'letters'"),
        (
            {"runs": {"ast": {"model": "ast", "augmentation": [{"Gain": {"p": 9}}]}}},
            "augmentation.0: .*0 <= p <= 1",
        ),
        ({"train": {"epochs": 3}, "runs": {"ast": {"model": "ast"}}}, "epochs: unknown key"),
        ({"train": 3, "runs": {"ast": {"model": "ast"}}}, "must hold keys and values"),
        ({"runs": {"ast": {"model": "ast", "training": 3}}, "train": {"training": {"epochs": 1}}}, "training.*found 3"),
    ],
)
def test_a_bad_run_is_refused(tree, message):
    with pytest.raises(PipelineError, match=message):
        train.read_run(tree, "ast")


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
    with pytest.raises(PipelineError, match=message):
        train.main(layout, "ast")
    assert not layout.artifacts.exists()


def test_without_a_corpus_it_says_what_to_run(finished, tmp_path):
    shutil.copy(finished.layout.params, tmp_path)
    with pytest.raises(PipelineError, match=r"no finished corpus.*dvc repro prepare"):
        train.main(Layout(tmp_path), "ast")


def test_a_split_without_clips_is_refused(finished, monkeypatch):
    corpus = Corpus.open(finished.layout.prepare)
    monkeypatch.setattr(corpus, "select", lambda split: np.arange(0 if split == "validation" else 9))
    with pytest.raises(PipelineError, match="no clip in the split 'validation'"):
        training_data_of(corpus, train.Run(model="ast"))


DETECTOR = {"channels": [2], "num_mel_bins": 8, "hidden": 4, "layers": 1}


def with_detector(detector, **run):
    return {
        "train": {"training": {"epochs": 3, "batch_size": 16}},
        "runs": {"apart": {"model": "ast", "detector": detector, **run}},
    }


def test_the_shared_training_is_under_a_detector_s_too():
    run = train.read_run(with_detector({"model": "gru", "training": {"epochs": 9}}), "apart")
    assert run.detector.training == {"epochs": 9, "batch_size": 16}
    own, detector = train.recipes_of(run, "runs.apart")
    assert (own.name, own.training.epochs, detector.name, detector.training.epochs) == ("ast", 3, "gru", 9)
    assert [recipe.name for recipe in train.recipes_of(train.Run(model="ast"), "runs.plain")] == ["ast"]


@pytest.mark.parametrize(
    ("detector", "message"),
    [
        ({"parameters": {}}, "detector.model: missing"),
        ({"model": "ears"}, "Known models: ast"),
        (
            {"model": "gru", "parameters": {"hidden": 0}},
            r"section runs.apart.detector.parameters:\n  hidden: .*found 0",
        ),
        ({"model": "gru", "training": {"epoch": 1}}, r"section runs.apart.detector.training:\n  epoch: unknown key"),
        ({"model": "gru", "training": 3}, "detector.training: .*found 3"),
    ],
)
def test_a_bad_detector_is_refused(detector, message):
    with pytest.raises(PipelineError, match=message):
        train.recipes_of(train.read_run(with_detector(detector), "apart"), "runs.apart")


def test_a_run_may_have_a_detector_of_its_own_for_silence_and_unknown(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    detector = {"model": "gru", "parameters": DETECTOR}
    run = with_detector(detector, model="lstm", parameters=DETECTOR, training={"epochs": 1})["runs"]["apart"]
    project.configure(lambda params: params["runs"].update(apart=run))
    train.main(project.layout, "apart")
    predict.main(project.layout, "apart")
    about = read_json(project.layout.model("apart") / "run.json")
    assert about["detector"]["model"] == "gru"
    assert about["detector"]["training"]["epochs"] == 4

    corpus = Corpus.open(project.layout.prepare)
    rows = corpus.select("validation")
    words = models.find("lstm").restore(project.layout.model("apart"), Training())
    apart = models.find("gru").restore(project.layout.model("apart") / "detector", Training())
    assert apart.labels == ["word", "unknown", "silence"]
    judged = Probabilities.read(project.layout.probabilities("apart") / "validation.parquet")
    assert judged.labels == words.labels
    found = dict(zip(judged.clips, judged.values, strict=True))
    expected = apart.predict_proba(corpus.samples(rows))
    for clip, (word, *others) in zip(corpus.rows["clip"].iloc[rows], expected, strict=True):
        assert found[clip][-2:] == pytest.approx(others, abs=1e-5)
        assert found[clip][:-2].sum() == pytest.approx(word, abs=1e-5)
