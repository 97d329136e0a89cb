"""Tables of probabilities: recordings in segments are judged once, folds are averaged, a vote's parts have theirs."""

import numpy as np
import pytest

from pipeline.examples.looks import Look
from pipeline.jobs import prediction
from pipeline.jobs.prediction import Predictor, average, by_recording
from pipeline.scoring.probabilities import Probabilities
from tests.judged_clips import corpus_of

LABELS = ["no", "yes"]
# Recordings of one to three segments; their names are in no order.
SEGMENTS = ["long.wav"] * 3 + ["a.wav"] + ["mid.wav"] * 2 + ["b.wav"]


@pytest.fixture
def corpus(tmp_path):
    clips = [
        {"clip": f"{name}-{number}", "recording": name, "word": "yes", "fold": 0 if name < "mid" else 1}
        for number, name in enumerate(SEGMENTS)
    ]
    return corpus_of(tmp_path / "corpus", clips)


class Net:
    """Says of each row its own number, in hundredths."""

    labels, multi_label = LABELS, False

    def predict_proba(self, inputs):
        yes = inputs / 100
        return np.stack([1 - yes, yes], axis=1).astype(np.float32)


class Several(Net):
    parts = ("one", "other")

    def predict_parts(self, inputs):
        whole = self.predict_proba(inputs)
        return np.stack([whole, whole[:, ::-1]])

    def combine(self, values):
        return values.mean(axis=0)

    def fit(self, data, work, live):
        raise NotImplementedError

    def save(self, folder):
        raise NotImplementedError


def judged(folder, corpus, net=None):
    with Predictor(folder, corpus, "run", LABELS, True, [Look()]) as predictor:
        for fold in (0, 1):
            predictor.judge(net or Net(), lambda rows: rows, corpus.judged_rows(fold), fold)
    return predictor


@pytest.mark.parametrize("chunk_clips", [1, 2, 100])
def test_a_recording_is_judged_once_by_what_its_segments_are_wherever_a_chunk_ends(
    chunk_clips, corpus, tmp_path, monkeypatch
):
    monkeypatch.setattr(prediction, "CHUNK_CLIPS", chunk_clips)
    predictor = judged(tmp_path, corpus)
    table = Probabilities.read(tmp_path / "out_of_fold.parquet")
    assert table.clips == ["long.wav", "a.wav", "b.wav", "mid.wav"]
    assert table.values[:, 1] == pytest.approx([0.01, 0.03, 0.06, 0.045])
    assert (predictor.clips, table.run, table.corpus) == (len(SEGMENTS), "run", corpus.fingerprint)


def test_names_in_any_order_keep_it():
    names, values = by_recording(np.array(["z", "a", "a"], object), np.array([[1.0], [2.0], [4.0]]))
    assert (names, values.tolist()) == (["z", "a"], [[1.0], [3.0]])


def test_each_part_of_a_vote_has_tables_of_its_own(corpus, tmp_path):
    judged(tmp_path, corpus, Several())
    vote, one, other = (
        Probabilities.read(tmp_path / place / "out_of_fold.parquet") for place in ("", "parts/one", "parts/other")
    )
    assert vote.values == pytest.approx((one.values + other.values) / 2)
    assert one.values[:, 1] == pytest.approx(other.values[:, 0])


def test_several_looks_are_averaged(corpus, tmp_path):
    class Loudness(Net):
        def predict_proba(self, inputs):
            yes = inputs[:, 8_000] / 100
            return np.stack([1 - yes, yes], axis=1).astype(np.float32)

    def read(rows):
        return np.full((len(rows), 16_000), 10, np.int16)

    looks = [Look(), Look(gain_db=20 * np.log10(4)), Look(shift_ms=-500), Look(shift_ms=500)]
    with Predictor(tmp_path, corpus, "run", LABELS, True, looks) as predictor:
        predictor.write(Loudness(), read, corpus.judged_rows(0), "test", 0)
    table = Probabilities.read(tmp_path / "test" / "0.parquet")
    assert table.values[:, 1] == pytest.approx([np.mean([0.1, 0.4, 0, 0.1])] * 3)  # what no look says alone


def test_an_error_leaves_no_table(corpus, tmp_path):
    def broken(rows):
        raise ZeroDivisionError

    predictor = Predictor(tmp_path, corpus, "run", LABELS, True, [Look()])
    with pytest.raises(ZeroDivisionError), predictor:
        predictor.judge(Net(), broken, corpus.judged_rows(0), 0)
    assert list(tmp_path.glob("*.parquet")) == []


def write(path, values):
    Probabilities(["a", "b"], LABELS, np.array(values), "run", "corpus").write(path)


def test_folds_are_averaged_and_a_single_one_is_the_mean(tmp_path):
    write(tmp_path / "test" / "0.parquet", [[1, 0], [0.5, 0.5]])
    write(tmp_path / "test" / "2.parquet", [[0, 1], [0.7, 0.3]])
    write(tmp_path / "holdout" / "0.parquet", [[1, 0], [0, 1]])
    for split in ("test", "holdout"):
        average(tmp_path, split)
    mean = Probabilities.read(tmp_path / "test.parquet")
    assert mean.values == pytest.approx(np.array([[0.5, 0.5], [0.6, 0.4]]))
    assert (mean.run, mean.corpus) == ("run", "corpus")
    assert sorted(path.name for path in (tmp_path / "test").iterdir()) == ["0.parquet", "2.parquet"]
    assert Probabilities.read(tmp_path / "holdout.parquet").values.tolist() == [[1, 0], [0, 1]]
    assert not (tmp_path / "holdout").exists()
