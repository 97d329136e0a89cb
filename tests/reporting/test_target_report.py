"""Runs that answer another question than the competition's."""

import csv

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from pipeline.clips.corpus import Corpus, CorpusWriter
from pipeline.errors import PipelineError
from pipeline.examples.target import Presence, target_of
from pipeline.files import read_json
from pipeline.reporting import target_report
from pipeline.scoring.probabilities import Probabilities

# clip, recording, split, speaker, tags
CLIPS = [
    ("a", None, "train", "ann", ("Dog",)),
    ("b", None, "train", "bob", ("Cat", "Dog")),
    ("c#0", "c", "validation", "ann", ("Dog",)),
    ("c#1", "c", "validation", "ann", ("Dog",)),
    ("d", None, "validation", "bob", ("Cat",)),
    ("e", None, "validation", None, ("Cat", "Dog")),
    ("f", None, "testing", "bob", ("Cat",)),
]


@pytest.fixture
def corpus(tmp_path):
    with CorpusWriter(tmp_path) as writer:
        for clip, recording, split, speaker, tags in CLIPS:
            writer.add(
                np.zeros(16_000, np.int16),
                clip=clip,
                part="train",
                split=split,
                speaker=speaker,
                recording=recording,
                tags=tags,
            )
        writer.finish(np.array([clip[2] for clip in CLIPS]), source="demo", seed=1, commands=())
    return Corpus.open(tmp_path)


def table(corpus, labels, values, clips=("d", "c", "e"), exclusive=True):
    return Probabilities(list(clips), labels, np.array(values), "run", corpus.fingerprint, exclusive)


def test_a_fact_is_judged_on_the_recordings_that_tell_it(corpus, tmp_path):
    target = target_of(corpus, "speaker")
    validation = table(corpus, ["ann", "bob"], [[0.9, 0.1], [0.8, 0.2], [0.5, 0.5]])
    testing = table(corpus, ["ann", "bob"], [[0.3, 0.7]], ["f"])
    figures = target_report.publish(tmp_path / "run", corpus, target, validation, testing, {"target": "speaker"})
    assert figures["accuracy"] == 0.5  # d is taken for ann, c is known, of e nobody knows
    assert figures["clips"] == 2
    assert figures["recalls"] == {"ann": 1.0, "bob": 0.0}
    assert figures["testing"]["accuracy"] == 1.0
    assert figures["target"] == "speaker"
    assert read_json(tmp_path / "run" / "metrics.json") == figures
    with (tmp_path / "run" / "confusion.csv").open() as file:
        assert [row[1:] for row in csv.reader(file)] == [["ann", "bob"], ["1", "0"], ["1", "0"]]
    assert (tmp_path / "run" / "confusion.png").stat().st_size > 5_000
    assert (tmp_path / "run" / "submission.csv").read_text() == "fname,label\n"


def test_a_presence_is_judged_by_f1_too(corpus, tmp_path):
    target = target_of(corpus, "tags", presence=Presence(name="cat", of=["Cat"]))
    validation = table(corpus, ["other", "cat"], [[0.2, 0.8], [0.4, 0.6], [0.9, 0.1]])
    figures = target_report.publish(tmp_path / "run", corpus, target, validation, None)
    assert figures["f1"] == 0.5  # one found, one missed, one too many
    assert figures["accuracy"] == pytest.approx(1 / 3, abs=1e-5)
    assert figures["testing"] is None


def test_several_labels_are_judged_by_mean_average_precision(corpus, tmp_path):
    target = target_of(corpus, "tags")
    values = np.array([[0.2, 0.7], [0.6, 0.8], [0.9, 0.1]])  # of d, c, e
    figures = target_report.publish(
        tmp_path / "run", corpus, target, table(corpus, ["Cat", "Dog"], values, exclusive=False), None
    )
    truth = np.array([[1, 0], [0, 1], [1, 1]])
    expected = [average_precision_score(truth[:, label], values[:, label]) for label in (0, 1)]
    assert figures["map"] == pytest.approx(np.mean(expected), abs=1e-5)
    assert "accuracy" not in figures
    with (tmp_path / "run" / "confusion.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == ["Cat", "Dog"]
    assert [float(row["average_precision"]) for row in rows] == pytest.approx(expected, abs=1e-5)
    assert [row["clips"] for row in rows] == ["2", "2"]
    assert (tmp_path / "run" / "confusion.png").stat().st_size > 5_000


def test_tables_of_another_corpus_labels_or_clips_are_refused(corpus):
    target = target_of(corpus, "speaker")
    good = [[0.9, 0.1], [0.8, 0.2], [0.5, 0.5]]
    strange = Probabilities(["d", "c", "e"], ["ann", "bob"], np.array(good), "run", "other corpus")
    fewer = table(corpus, ["ann", "bob"], good[:2], ["d", "c"])
    for bad in (strange, fewer, table(corpus, ["ann", "cid"], good)):
        with pytest.raises(PipelineError, match=r"not of the corpus.*predict anew"):
            target_report.truth_of(corpus, "validation", target, bad)
