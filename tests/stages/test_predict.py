"""Predicting: the probabilities of the weights that were published, one row a clip, in the corpus's order."""

import shutil

import numpy as np
import pytest
import torch
from transformers import AutoFeatureExtractor, AutoModelForAudioClassification

from pipeline.clips.corpus import Corpus
from pipeline.errors import PipelineError
from pipeline.files import read_json, write_json
from pipeline.layout import Layout
from pipeline.scoring.probabilities import Probabilities
from pipeline.stages import predict


@pytest.fixture
def layout(finished, tmp_path):
    """A project whose run `ast` is trained and nothing is predicted."""
    layout = Layout(tmp_path)
    shutil.copy(finished.layout.params, layout.params)
    shutil.copytree(finished.layout.prepare, layout.prepare)
    shutil.copytree(finished.layout.model("ast"), layout.model("ast"))
    return layout


@pytest.mark.parametrize("run", ["ast", "wav2vec2"])
def test_each_row_is_what_transformers_alone_makes_of_the_clip(run, finished):
    layout = finished.layout
    corpus = Corpus.open(layout.prepare)
    model = AutoModelForAudioClassification.from_pretrained(layout.model(run)).eval()
    extractor = AutoFeatureExtractor.from_pretrained(layout.model(run))
    assert sorted(path.stem for path in layout.probabilities(run).iterdir()) == ["test", "validation"]
    for split in ("validation", "test"):
        table = Probabilities.read(layout.probabilities(run) / f"{split}.parquet")
        rows = corpus.select(split)
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
    monkeypatch.setattr(predict, "CHUNK_CLIPS", 7)
    predict.main(layout, "ast")
    assert max(read) == 7
    for split in ("validation", "test"):
        one, other = (
            Probabilities.read(where.probabilities("ast") / f"{split}.parquet") for where in (layout, finished.layout)
        )
        assert (one.clips, one.labels) == (other.clips, other.labels)
        assert np.abs(one.values - other.values).max() < 1e-5


def test_what_was_predicted_before_does_not_stay(layout):
    left = layout.probabilities("ast") / "testing.parquet"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"of an older corpus")
    predict.main(layout, "ast")
    assert sorted(path.name for path in left.parent.iterdir()) == ["test.parquet", "validation.parquet"]


def test_a_run_that_is_not_trained_says_what_to_run(layout):
    shutil.rmtree(layout.model("ast"))
    with pytest.raises(PipelineError, match=r"'ast' is not trained: .*dvc repro train@ast"):
        predict.main(layout, "ast")


def test_a_run_that_is_not_listed_is_refused(layout):
    with pytest.raises(PipelineError, match="lists no run 'as'"):
        predict.main(layout, "as")


def test_weights_of_other_labels_are_refused(layout):
    about = read_json(layout.model("ast") / "run.json")
    write_json(layout.model("ast") / "run.json", {**about, "labels": about["labels"][::-1]})
    with pytest.raises(PipelineError, match=r"labels are not those of run\.json.*dvc repro -f train@ast"):
        predict.main(layout, "ast")
    assert not layout.probabilities("ast").exists()
