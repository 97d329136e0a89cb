import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.examples.target import target_of
from pipeline.examples.task import Task
from pipeline.scoring import truth
from pipeline.scoring.probabilities import Probabilities
from tests.judged_clips import corpus_of

CLIPS = [
    {"clip": "yes/1", "word": "yes", "speaker": "ann", "fold": 0},
    {"clip": "cat/1", "word": "cat", "speaker": "bob", "fold": 1},
    {"clip": "silence/1", "word": "_silence_", "fold": 0},
    {"clip": "cat/2", "word": "cat", "speaker": "bob", "fold": 1, "readable": False},
    {"clip": "yes/2", "word": "yes", "speaker": "cid"},
    {"clip": "yes/3", "word": "yes", "speaker": "dan", "split": "holdout"},
]


@pytest.fixture
def corpus(tmp_path):
    return corpus_of(tmp_path / "prepare", CLIPS, ("yes",))


def table(corpus, clips, fingerprint=None):
    values = np.full((len(clips), 3), 1 / 3)
    return Probabilities(clips, ["yes", "unknown", "silence"], values, "ast", fingerprint or corpus.fingerprint)


def true_of(corpus, judged, clips):
    return truth.truth_of(corpus, judged, table(corpus, clips), target_of(corpus, Task())).tolist()


def test_truth_is_in_the_tables_order_and_damaged_clips_need_no_row(corpus):
    assert true_of(corpus, "out_of_fold", ["silence/1", "cat/1", "yes/1"]) == [2, 1, 0]
    assert true_of(corpus, "out_of_fold", ["cat/2", "silence/1", "cat/1", "yes/1"]) == [1, 2, 1, 0]
    assert true_of(corpus, "holdout", ["yes/3"]) == [0]


@pytest.mark.parametrize(
    ("clips", "fingerprint"),
    [
        (["silence/1", "cat/1"], None),
        (["silence/1", "cat/1", "yes/1", "yes/2"], None),
        (["silence/1", "cat/1", "yes/1"], "older"),
    ],
)
def test_tables_of_another_corpus_are_refused(corpus, clips, fingerprint):
    with pytest.raises(
        PipelineError, match=r"out_of_fold probabilities of run 'ast' are not of the corpus in .*prepare"
    ):
        truth.rows_of(corpus, "out_of_fold", table(corpus, clips, fingerprint))


def test_a_recording_in_segments_is_judged_once_by_its_own_name(tmp_path):
    segments = [
        {"clip": f"{name}#{number}", "recording": name, "word": word, "speaker": speaker, "fold": fold}
        for name, word, speaker, fold in (
            ("a.wav", "yes", "ann", 0),
            ("b.wav", "cat", None, 0),
            ("c.wav", "yes", "c", -1),
        )
        for number in range(3)
    ]
    corpus = corpus_of(tmp_path / "prepare", segments, ("yes",))
    judged = table(corpus, ["b.wav", "a.wav"])
    assert truth.truth_of(corpus, "out_of_fold", judged, target_of(corpus, Task())).tolist() == [1, 0]
    rows = truth.rows_of(corpus, "out_of_fold", judged)
    assert truth.speakers_of(corpus, rows) == ["b.wav", "ann"]  # its own speaker, where none is known


def test_clips_of_which_the_corpus_does_not_tell_the_target_are_not_judged(tmp_path):
    clips = [
        {"clip": "a", "speaker": "ann", "tags": ("Dog",)},
        {"clip": "b", "tags": ("Cat",), "fold": 0},
        {"clip": "c", "speaker": "ann", "tags": ("Dog",), "fold": 0},
        {"clip": "d", "speaker": "ann", "fold": 0},
    ]
    corpus = corpus_of(tmp_path / "prepare", clips)
    judged = table(corpus, ["c", "b", "d"])
    speaker = truth.truth_of(corpus, "out_of_fold", judged, target_of(corpus, Task(target="speaker")))
    assert speaker.tolist() == [0, -1, 0]
    tags = truth.truth_of(corpus, "out_of_fold", judged, target_of(corpus, Task(target="tags")))
    assert np.isnan(tags).any(axis=1).tolist() == [False, False, True]
    only = truth.rows_of(corpus, "out_of_fold", judged)[1:2]
    assert corpus.rows["clip"].iloc[only].tolist() == ["b"]


def test_a_target_that_no_judged_clip_has_is_an_error(tmp_path):
    corpus = corpus_of(tmp_path / "prepare", [{"clip": "a", "speaker": "ann"}, {"clip": "b", "fold": 0}])
    with pytest.raises(PipelineError, match="known of none of the out_of_fold clips"):
        truth.truth_of(corpus, "out_of_fold", table(corpus, ["b"]), target_of(corpus, Task(target="speaker")))
