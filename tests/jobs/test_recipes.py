"""Runs with their models: what an entry of params.yaml is once all is filled in."""

import json

import numpy as np
import pytest

from pipeline import models
from pipeline.clips.corpus import Corpus
from pipeline.clips.corpus_writer import CorpusWriter
from pipeline.errors import PipelineError
from pipeline.examples.augmentation import Augmentation
from pipeline.examples.pseudo_labels import PseudoLabels
from pipeline.examples.training_data import Examples
from pipeline.files import write_json
from pipeline.jobs.recipes import (
    Run,
    input_kind,
    learns_in_batches,
    read_run,
    reader_of,
    recipes_of,
    run_apart,
    trained,
)
from pipeline.learners.detector import FOLDER

TREE = {
    "train": {"training": {"epochs": 9, "batch_size": 16, "jobs": 2}, "augmentation": []},
    "runs": {
        "net": {"model": "convs2s", "training": {"epochs": 3}},
        "probe": {"model": "probes"},
        "apart": {"like": "net", "detector": {"model": "gru", "training": {"epochs": 5}}},
        "mixed": {"model": "convs2s", "detector": {"model": "probes"}},
    },
    "students": {"pupil": {"like": "net", "pseudo_labels": {"minimum": 0.5}}, "plain": {"like": "net"}},
}


def recipes(name, tree=TREE):
    return recipes_of(read_run(tree, name), f"runs.{name}")


def test_a_run_has_the_shared_values_under_its_own():
    run = read_run(TREE, "net")
    assert run.augmentation == Augmentation([])
    assert run.training == {"epochs": 3, "batch_size": 16}  # jobs are no concern of a network
    (recipe,) = recipes("net")
    assert (recipe.training.epochs, recipe.training.batch_size) == (3, 16)
    assert recipe.about["training"]["epochs"] == 3
    assert json.loads(json.dumps(recipe.about)) == recipe.about


def test_keys_of_the_shared_training_that_a_model_has_not_are_no_concern_of_it():
    (recipe,) = recipes("probe")
    assert recipe.training.jobs == 2
    odd = {**TREE, "runs": {"net": {"model": "convs2s", "training": {"jobs": 1}}}, "students": {}}
    with pytest.raises(PipelineError, match=r"section runs\.net\.training:\n  jobs: unknown key"):
        recipes("net", odd)


def test_a_detector_has_the_shared_training_under_its_own_too():
    run, detector = recipes("apart")
    assert (run.name, run.training.epochs, detector.name, detector.training.epochs) == ("convs2s", 3, "gru", 5)
    assert detector.training.batch_size == 16


def test_a_run_and_its_detector_read_the_same_inputs():
    with pytest.raises(PipelineError, match="'convs2s' and its detector 'probes' do not take the same inputs"):
        recipes("mixed")


def test_processes_share_the_batches_of_a_net_and_of_no_probe():
    assert [name for name in models.names() if not learns_in_batches(Run(model=name))] == ["probes"]
    assert not learns_in_batches(read_run(TREE, "probe"))  # though a dense net has a `batch_size`


def test_a_student_has_settings_for_pseudo_labels_a_teacher_none():
    assert read_run(TREE, "pupil").pseudo_labels == PseudoLabels(minimum=0.5)
    assert read_run(TREE, "plain").pseudo_labels == PseudoLabels()
    empty = {**TREE, "students": {"pupil": {"like": "net", "pseudo_labels": None}}}
    assert read_run(empty, "pupil").pseudo_labels == PseudoLabels()
    assert read_run(TREE, "net").pseudo_labels is None
    odd = {"runs": {"net": {"model": "convs2s", "pseudo_labels": {}}}}
    with pytest.raises(
        PipelineError, match=r"section runs\.net: only runs under 'students' or 'second_students' learn from"
    ):
        read_run(odd, "net")


def test_a_student_learns_labels_that_exclude_each_other():
    odd = {**TREE, "students": {"pupil": {"like": "net", "target": "tags"}}}
    with pytest.raises(PipelineError, match=r"section students\.pupil: a student learns labels that exclude"):
        read_run(odd, "pupil")


@pytest.mark.parametrize(
    ("task", "what"),
    [
        ({"target": "speaker"}, "target 'speaker'"),
        ({"target": "tags"}, "target 'tags'"),
        ({"presence": {"name": "speech"}}, "presence"),
    ],
)
def test_a_share_of_the_clips_that_would_change_nothing_is_refused(task, what):
    part = {"model": "convs2s", "rebalancing": {"share": 0.3}}
    tree = {"train": {"rebalancing": part["rebalancing"]}, "runs": {"word": part, "other": {"model": "gru", **task}}}
    assert read_run(tree, "word").rebalancing.share == 0.3
    with pytest.raises(PipelineError, match=rf"section runs\.other: rebalancing\.share is .* with the run's {what} it"):
        read_run(tree, "other")
    with pytest.raises(PipelineError, match=r"section encode\.fit: rebalancing\.share"):
        run_apart({**part, **task}, "encode.fit")
    tree["runs"]["other"]["rebalancing"] = {"share": 1}
    assert read_run(tree, "other").rebalancing.share == 1


def test_as_many_clips_of_either_answer_are_refused_where_there_is_no_question():
    run = {"model": "gru", "rebalancing": {"even": True}}
    tree = {"runs": {"there": {**run, "presence": {"name": "speech"}}, "word": run}}
    assert read_run(tree, "there").rebalancing.even
    for refused in (lambda: read_run(tree, "word"), lambda: run_apart(run, "runs.word")):
        with pytest.raises(PipelineError, match=r"section runs\.word: rebalancing\.even is for runs with a presence"):
            refused()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({}, "model: missing"),
        ({"model": "no-such"}, "asks for the model 'no-such'"),
        ({"model": "convs2s", "training": "fast"}, r"section runs\.a:\n  training: .*found 'fast'"),
        ({"model": "convs2s", "detector": "gru"}, r"section runs\.a:\n  detector: .*found 'gru'"),
        (
            {"model": "convs2s", "detector": {"model": "gru", "training": "x"}},
            r"section runs\.a:\n  detector.training: ",
        ),
        (
            {"model": "convs2s", "parameters": {"block": 3}},
            r"runs\.a\.parameters:\n  block: unknown key. Do you mean blocks",
        ),
    ],
)
def test_what_is_wrong_with_an_entry_is_told(entry, message):
    with pytest.raises(PipelineError, match=message):
        recipes("a", {"train": {"training": {"epochs": 3}}, "runs": {"a": entry}})


def test_an_entry_that_stands_for_itself_has_no_shared_values():
    assert run_apart({"model": "wav2vec2"}, "encode.fit").training == {}
    with pytest.raises(PipelineError, match=r"section encode\.fit:\n  model: missing"):
        run_apart(None, "encode.fit")


@pytest.fixture
def corpus(tmp_path):
    def make(clip):
        folder = tmp_path / str(clip.dtype)
        folder.mkdir()
        with CorpusWriter(folder) as writer:
            writer.add(clip, clip="a", part="train", word="yes")
            writer.finish(np.array(["train"]), np.array([-1]), source="demo", seed=1, commands=())
        return Corpus.open(folder)

    return make


def test_what_a_model_reads_is_told_by_the_corpus_and_the_model(corpus, tmp_path):
    audio, embedded = corpus(np.zeros(16_000, np.int16)), corpus(np.zeros((10, 128), np.uint8))
    assert input_kind(audio, "convs2s") == "samples"
    assert input_kind(audio, "linear") == "samples"
    assert input_kind(embedded, "linear") == "embeddings"
    assert input_kind(audio, "probes") == "hidden_states"
    assert reader_of(tmp_path, audio, "convs2s")(np.array([0])).shape == (1, 16_000)
    with pytest.raises(PipelineError, match="holds embeddings; the model 'convs2s' takes samples"):
        reader_of(tmp_path, embedded, "convs2s")
    with pytest.raises(PipelineError, match="dvc repro encode"):
        reader_of(tmp_path, audio, "probes")


def test_what_a_trained_net_says_hangs_on_the_loss_that_it_learnt_by(tmp_path):
    model, labels = models.find("linear"), ["yes", "no"]
    samples = np.random.default_rng(1).integers(-9_000, 9_000, (4, 16_000)).astype(np.int16)
    examples = Examples(lambda rows: samples[rows], np.arange(4), np.array([0, 1, 0, 1]))
    training = model.Training(loss="huber")
    net = model.build(model.Params(), training, labels, examples, tmp_path)
    net.save(tmp_path)
    write_json(tmp_path / "run.json", {"model": "linear", "labels": labels, "training": training.model_dump()})
    for loss in ("huber", "cross_entropy"):
        tree = {"runs": {"net": {"model": "linear", "training": {"loss": loss, "eval_batch_size": 3}}}}
        found, _ = trained(tmp_path, tree, "net")
        np.testing.assert_allclose(found.predict_proba(samples), net.predict_proba(samples), atol=1e-6)
        assert found.training.eval_batch_size == 3


def test_a_detector_hears_as_many_clips_at_a_time_as_its_training_says_now(tmp_path):
    samples = np.random.default_rng(1).integers(-9_000, 9_000, (4, 16_000)).astype(np.int16)
    model, examples = models.find("linear"), Examples(lambda rows: samples[rows], np.arange(4), np.array([0, 1, 0, 1]))
    folders = {tmp_path: ["yes", "unknown", "silence"], tmp_path / FOLDER: ["word", "unknown", "silence"]}
    training = model.Training(loss="huber", eval_batch_size=64)
    for folder, labels in folders.items():
        folder.mkdir(exist_ok=True)
        model.build(model.Params(), training, labels, examples, tmp_path).save(folder)
    part = {"model": "linear", "training": training.model_dump()}
    write_json(tmp_path / "run.json", {**part, "labels": folders[tmp_path], "detector": part})

    def now(shared, own):
        run = {"model": "linear", "detector": {"model": "linear", "training": own}}
        found, _ = trained(tmp_path, {"train": {"training": shared}, "runs": {"net": run}}, "net")
        return found.detector.training

    shared = now({"eval_batch_size": 3}, {"epochs": 4})
    assert (shared.eval_batch_size, shared.loss, shared.epochs) == (3, "huber", 10)  # all else is as it learnt
    assert now({"eval_batch_size": 3}, {"eval_batch_size": 5}).eval_batch_size == 5
    assert now({}, {}).eval_batch_size == 128


def test_what_is_wrong_in_a_trained_student_is_told_where_it_stands(tmp_path):
    write_json(tmp_path / "run.json", {"model": "linear", "labels": ["yes", "no"]})
    tree = {"runs": {"net": {"model": "linear"}}, "students": {"pupil": {"like": "net", "training": {"epohs": 3}}}}
    with pytest.raises(PipelineError, match=r"section students\.pupil\.training"):
        trained(tmp_path, tree, "pupil")


def test_a_run_that_is_not_trained_says_so(tmp_path):
    with pytest.raises(PipelineError, match=r"The run 'net' is not trained: no .*run\.json\. Run: dvc repro"):
        trained(tmp_path, TREE, "net")
    with pytest.raises(PipelineError, match="lists no run 'nett'"):
        trained(tmp_path, TREE, "nett")
