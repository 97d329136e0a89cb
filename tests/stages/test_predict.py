"""Predicting: the probabilities of the weights that were published, one row a clip, in the corpus's order."""

import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoFeatureExtractor, AutoModelForAudioClassification

from pipeline.clips.corpus import Corpus
from pipeline.errors import PipelineError
from pipeline.files import read_json, write_json
from pipeline.jobs import launching, prediction
from pipeline.layout import Layout
from pipeline.scoring.probabilities import Probabilities
from pipeline.stages import predict, train

VERB = (sys.executable, "-m", "pipeline")


@pytest.fixture
def layout(finished, tmp_path):
    """A project whose run `ast` is trained and nothing is predicted."""
    layout = Layout(tmp_path)
    shutil.copy(finished.layout.params, layout.params)
    shutil.copytree(finished.layout.prepare, layout.prepare)
    shutil.copytree(finished.layout.run("ast").trained, layout.run("ast").trained)
    return layout


def tables(layout):
    """The run's tables, by file name."""
    folder = layout.run("ast").probabilities
    return {path.relative_to(folder).as_posix(): Probabilities.read(path) for path in folder.rglob("*.parquet")}


@pytest.mark.parametrize("run", ["ast", "wav2vec2"])
def test_each_row_is_what_transformers_alone_makes_of_the_clip(run, finished):
    layout, paths = finished.layout, finished.layout.run(run)
    corpus = Corpus.open(layout.prepare)
    model = AutoModelForAudioClassification.from_pretrained(paths.model(0)).eval()
    extractor = AutoFeatureExtractor.from_pretrained(paths.model(0))
    assert {path.name for path in paths.probabilities.iterdir()} == {"out_of_fold.parquet", "nested", "test.parquet"}
    for name, rows in (("out_of_fold", corpus.judged_rows(0)), ("test", corpus.select("test"))):
        table = Probabilities.read(paths.probabilities / f"{name}.parquet")
        assert table.clips == corpus.rows["clip"].iloc[rows].tolist()
        assert table.labels == corpus.vocabulary.labels("words" if run == "wav2vec2" else "commands")
        assert (table.run, table.corpus) == (run, corpus.fingerprint)
        waveforms = list(corpus.samples(rows).astype(np.float32) / 32768)
        inputs = extractor(waveforms, sampling_rate=16_000, return_tensors="pt")["input_values"]
        with torch.no_grad():
            expected = model(inputs).logits.softmax(dim=-1).numpy()
        assert np.abs(table.values - expected).max() < 1e-4
        assert [model.config.id2label[index] for index in range(len(table.labels))] == table.labels


def test_clips_are_read_a_chunk_at_a_time_and_nothing_depends_on_it(layout, finished, monkeypatch):
    read = []
    whole = Corpus.samples

    def samples(self, indices):
        read.append(len(indices))
        return whole(self, indices)

    monkeypatch.setattr(Corpus, "samples", samples)
    monkeypatch.setattr(prediction, "CHUNK_CLIPS", 7)
    predict.main(layout, "ast")
    assert max(read) == 7
    ours, theirs = tables(layout), tables(finished.layout)
    assert ours.keys() == theirs.keys() > {"out_of_fold.parquet", "test.parquet"}
    for name, table in ours.items():
        assert (table.clips, table.labels) == (theirs[name].clips, theirs[name].labels)
        assert np.abs(table.values - theirs[name].values).max() < 1e-5


def test_what_was_predicted_before_does_not_stay(layout):
    left = layout.run("ast").probabilities / "holdout.parquet"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"of an older corpus")
    predict.main(layout, "ast")
    assert not left.exists()


def test_a_net_of_another_fold_or_corpus_is_refused(layout):
    path = layout.run("ast").model(0) / "run.json"
    about = read_json(path)
    for strange in ({"fold": 1}, {"corpus": "older"}):
        write_json(path, {**about, **strange})
        with pytest.raises(PipelineError, match=r"was trained on another corpus|fold"):
            predict.main(layout, "ast")
    assert not layout.run("ast").probabilities.exists()


def test_a_run_that_is_not_trained_says_what_to_run(layout):
    shutil.rmtree(layout.run("ast").model(0))
    with pytest.raises(PipelineError, match=r"'ast' is not trained: .*Run: dvc repro"):
        predict.main(layout, "ast")


def test_a_run_that_is_not_listed_is_refused(layout):
    with pytest.raises(PipelineError, match="lists no run 'as'"):
        predict.main(layout, "as")


def test_weights_of_other_labels_are_refused(layout):
    about = read_json(layout.run("ast").model(0) / "run.json")
    write_json(layout.run("ast").model(0) / "run.json", {**about, "labels": about["labels"][::-1]})
    with pytest.raises(PipelineError, match=r"labels are not those of run\.json.*dvc repro -f"):
        predict.main(layout, "ast")
    assert not layout.run("ast").probabilities.exists()


def test_two_processes_share_the_clips_and_write_the_same_bytes(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    project.configure(lambda params: params["runs"].update(plain={"model": "linear", "parameters": {"frames": 10}}))
    folder = project.layout.run("plain").probabilities

    def written():
        return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.parquet")}

    train.main(project.layout, "plain")
    predict.main(project.layout, "plain")
    of_one = written()
    shutil.rmtree(folder)
    project.configure(lambda params: params["runs"]["plain"].update(processes=2))
    output = project.run(*VERB, "predict", "plain")
    assert output.count("plain test, fold 0:   0%") == 3  # each of the two, and the one that puts it together
    assert written() == of_one
    assert not (project.layout.run("plain").unfinished / "predict").exists()
    assert read_json(project.layout.timing("plain", "predict"))["clips"] > 0


@pytest.mark.parametrize(("worth", "processes"), [(10_000, 1), (50, 2)])
def test_as_many_as_train_at_once_share_the_clips_if_they_are_many(worth, processes, layout, finished, monkeypatch):
    params = finished.params
    params["runs"]["ast"]["at_once"] = 2
    write_json(layout.params, params)
    launched = []
    monkeypatch.setattr(launching, "launch", lambda number, *verb: launched.append(number) or sys.exit("enough"))
    monkeypatch.setattr(prediction, "WORTH_A_PROCESS", worth)
    with nullcontext() if processes == 1 else pytest.raises(SystemExit, match="enough"):
        predict.main(layout, "ast")
    assert launched == ([] if processes == 1 else [2])


def test_a_plain_net_predicts_without_what_only_training_needs():
    """Seconds of each start: the Trainer and all that it loads, augmentation, curves."""
    code = (
        "import sys; from pipeline import models; from pipeline.stages import check, predict, prepare;"
        "models.find('linear'); heavy = {'transformers.trainer', 'transformers.modeling_utils', 'accelerate',"
        "'datasets', 'evaluate', 'sklearn', 'audiomentations', 'dvclive'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=Path(predict.__file__).parents[2], check=True)
