"""Runs that answer another question than the competition's."""

import csv

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from pipeline.errors import PipelineError
from pipeline.examples.target import target_of
from pipeline.examples.task import Presence, Task
from pipeline.files import read_json
from pipeline.reporting import target_report
from pipeline.scoring.nested import OutOfFold, blocks_by_clip
from pipeline.scoring.probabilities import Probabilities
from tests.judged_clips import corpus_of

CLIPS = [
    {"clip": "a", "speaker": "ann", "tags": ("Dog",)},
    {"clip": "b", "speaker": "bob", "tags": ("Cat", "Dog")},
    {"clip": "c#0", "recording": "c", "speaker": "ann", "tags": ("Dog",), "fold": 0},
    {"clip": "c#1", "recording": "c", "speaker": "ann", "tags": ("Dog",), "fold": 0},
    {"clip": "d", "speaker": "bob", "tags": ("Cat",), "fold": 0},
    {"clip": "e", "tags": ("Cat", "Dog"), "fold": 1},
    {"clip": "f", "speaker": "bob", "tags": ("Cat",), "split": "holdout"},
]


@pytest.fixture
def corpus(tmp_path):
    return corpus_of(tmp_path / "prepare", CLIPS)


def table(corpus, labels, values, clips=("d", "c", "e"), exclusive=True):
    return Probabilities(list(clips), labels, np.array(values), "run", corpus.fingerprint, exclusive)


def out_of_fold(corpus, labels, values, nested=None, **options):
    final = table(corpus, labels, values, **options)
    block_of = blocks_by_clip(corpus)
    blocks = np.array([block_of[clip] for clip in final.clips])
    tables = {} if nested is None else dict.fromkeys(set(blocks.tolist()), table(corpus, labels, nested, **options))
    return OutOfFold(final, ["bob", "ann", "e"], blocks, tables)


def test_a_fact_is_judged_on_the_recordings_that_tell_it(corpus, tmp_path):
    target = target_of(corpus, Task(target="speaker"))
    judged = out_of_fold(corpus, ["ann", "bob"], [[0.9, 0.1], [0.8, 0.2], [0.5, 0.5]])
    holdout = table(corpus, ["ann", "bob"], [[0.3, 0.7]], ["f"])
    figures = target_report.publish(tmp_path / "run", corpus, target, judged, holdout, {"target": "speaker"})
    assert figures["estimate"]["accuracy"] == 0.5  # d is taken for ann, c is known, of e nobody knows
    assert figures["estimate"]["clips"] == 2
    assert figures["estimate"]["recalls"] == {"ann": 1.0, "bob": 0.0}
    assert figures["holdout"]["accuracy"] == 1.0
    assert figures["target"] == "speaker"
    assert read_json(tmp_path / "run" / "metrics.json") == figures
    with (tmp_path / "run" / "confusion.csv").open() as file:
        assert [row[1:] for row in csv.reader(file)] == [["ann", "bob"], ["1", "0"], ["1", "0"]]
    assert (tmp_path / "run" / "confusion.png").stat().st_size > 5_000
    assert (tmp_path / "run" / "submission.csv").read_text() == "fname,label\n"


def test_a_submission_that_was_made_by_hand_is_kept(corpus, tmp_path):
    """The run's own holds no clip; what somebody put there is no less theirs."""
    path = tmp_path / "submissions" / "run" / "submission.csv"
    path.parent.mkdir(parents=True)
    path.write_text("fname,label\nmine.wav,yes\n")
    target = target_of(corpus, Task(target="speaker"))
    judged = out_of_fold(corpus, ["ann", "bob"], [[0.9, 0.1], [0.8, 0.2], [0.5, 0.5]])
    target_report.publish(path.parent, corpus, target, judged, None)
    assert path.read_text() == "fname,label\n"
    (kept,) = (tmp_path / "submissions" / "by-hand").glob("run-*.csv")
    assert kept.read_text() == "fname,label\nmine.wav,yes\n"


def test_a_presence_is_judged_by_f1_too(corpus, tmp_path):
    target = target_of(corpus, Task(target="tags", presence=Presence(name="cat", of=["Cat"])))
    judged = out_of_fold(corpus, ["other", "cat"], [[0.2, 0.8], [0.4, 0.6], [0.9, 0.1]])
    figures = target_report.publish(tmp_path / "run", corpus, target, judged, None)
    assert figures["estimate"]["f1"] == 0.5  # one found, one missed, one too many
    assert figures["estimate"]["accuracy"] == pytest.approx(1 / 3, abs=1e-5)
    assert figures["holdout"] is None


def test_several_labels_are_judged_by_mean_average_precision(corpus, tmp_path):
    target = target_of(corpus, Task(target="tags"))
    values = np.array([[0.2, 0.7], [0.6, 0.8], [0.9, 0.1]])  # of d, c, e
    figures = target_report.publish(
        tmp_path / "run", corpus, target, out_of_fold(corpus, ["Cat", "Dog"], values, exclusive=False), None
    )
    truth = np.array([[1, 0], [0, 1], [1, 1]])
    expected = [average_precision_score(truth[:, label], values[:, label]) for label in (0, 1)]
    assert figures["estimate"]["map"] == pytest.approx(np.mean(expected), abs=1e-5)
    assert "accuracy" not in figures["estimate"]
    with (tmp_path / "run" / "confusion.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == ["Cat", "Dog"]
    assert [float(row["average_precision"]) for row in rows] == pytest.approx(expected, abs=1e-5)
    assert [row["clips"] for row in rows] == ["2", "2"]
    assert (tmp_path / "run" / "confusion.png").stat().st_size > 5_000


def test_an_epoch_that_was_chosen_on_the_clips_is_not_what_judges_them(corpus, tmp_path):
    target = target_of(corpus, Task(target="speaker"))
    right, wrong = [[0.1, 0.9], [0.8, 0.2], [0.5, 0.5]], [[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]]
    judged = out_of_fold(corpus, ["ann", "bob"], right, nested=wrong)
    figures = target_report.publish(tmp_path / "run", corpus, target, judged, None)
    assert figures["selected"]["accuracy"] == 1.0
    assert figures["estimate"]["accuracy"] == 0.0
    with (tmp_path / "run" / "confusion.csv").open() as file:
        assert [row[1:] for row in csv.reader(file)][1:] == [["0", "1"], ["1", "0"]]


def test_the_parts_of_a_vote_are_judged_each_and_together(corpus, tmp_path):
    target = target_of(corpus, Task(target="speaker"))
    right, wrong = [[0.1, 0.9], [0.8, 0.2], [0.5, 0.5]], [[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]]
    assert target_report.judge_parts(tmp_path / "run", corpus, target) == {}
    out_of_fold(corpus, ["ann", "bob"], right).write(tmp_path / "run")
    out_of_fold(corpus, ["ann", "bob"], right, nested=wrong).write(tmp_path / "run" / "parts" / "layer-1")
    table(corpus, ["ann", "bob"], [[0.3, 0.7]], ["f"]).write(tmp_path / "run" / "parts" / "layer-1" / "holdout.parquet")
    assert target_report.judge_parts(tmp_path / "run", corpus, target) == {
        "layer-1": {"estimate": 0.0, "holdout": 1.0},
        "vote": {"estimate": 1.0},
    }


def test_tables_of_another_corpus_labels_or_clips_are_refused(corpus, tmp_path):
    target = target_of(corpus, Task(target="speaker"))
    good = [[0.9, 0.1], [0.8, 0.2], [0.5, 0.5]]
    strange = Probabilities(["d", "c", "e"], ["ann", "bob"], np.array(good), "run", "other corpus")
    fewer = table(corpus, ["ann", "bob"], good[:2], ["d", "e"])  # "c" is of the same fold as "d"
    for bad, said in (
        (strange, "not of the corpus"),
        (fewer, "not of the corpus"),
        (table(corpus, ["ann", "cid"], good), "other labels than its target"),
    ):
        judged = OutOfFold(bad, bad.clips, np.zeros(len(bad.clips), int))
        with pytest.raises(PipelineError, match=rf"{said}.*predict anew"):
            target_report.publish(tmp_path / "run", corpus, target, judged, None)
