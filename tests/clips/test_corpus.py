import json
import pickle
import subprocess
import sys

import numpy as np
import pytest

from pipeline.clips import audio_shards
from pipeline.clips.corpus import Corpus
from pipeline.clips.corpus_writer import CorpusWriter
from pipeline.clips.noise import NEVER_JUDGED, Noise
from pipeline.errors import PipelineError

CLIPS = 25


def clip(number):
    return np.full(16_000, number, np.int16)


def write(folder, clips=CLIPS, first=0, seed=7):
    """Clips whose every sample is their number; the words take turns, the last clip is a test clip."""
    folder.mkdir(exist_ok=True)
    with CorpusWriter(folder) as writer:
        for number in range(clips - 1):
            word = ("yes", "no", "cat")[number % 3]
            writer.add(clip(number + first), clip=f"{word}/{number}.wav", part="train", word=word, speaker=str(number))
        writer.add(clip(clips - 1), clip="t.wav", part="test", readable=False)
        writer.add_noise(Noise("hum", np.arange(5000, dtype=np.int16)), NEVER_JUDGED)
        writer.add_noise(Noise("hum", np.arange(5000, 6000, dtype=np.int16)), 0)
        splits = np.array(["train"] * (clips - 4) + ["validation"] * 2 + ["holdout", "test"])
        writer.finish(
            splits, np.where(splits == "validation", 0, NEVER_JUDGED), source="demo", seed=seed, commands=("yes", "no")
        )
    return folder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(audio_shards, "SHARD_CLIPS", 10)
    return write(tmp_path / "corpus")


def test_rows_and_samples_come_back_in_the_order_asked(folder):
    corpus = Corpus.open(folder)
    asked = np.array([24, 0, 9, 10, 11, 19, 20, 0])
    samples = corpus.samples(asked)
    assert samples.shape == (8, 16_000)
    assert samples.dtype == np.int16
    np.testing.assert_array_equal(samples, np.stack([clip(number) for number in asked]))
    assert corpus.samples(np.array([], int)).shape == (0, 16_000)
    assert corpus.rows.loc[4, ["clip", "part", "split", "word", "speaker"]].tolist() == [
        "no/4.wav",
        "train",
        "train",
        "no",
        "4",
    ]
    last = corpus.rows.iloc[24]
    assert last[["clip", "split", "readable"]].tolist() == ["t.wav", "test", False]
    assert last[["word", "speaker", "noise_source"]].isna().all()


def test_samples_returned_are_the_callers_own(folder):
    corpus = Corpus.open(folder)
    corpus.samples(np.array([3]))[:] = 0
    assert (corpus.samples(np.array([3])) == 3).all()


def test_a_row_beyond_the_end_is_an_error(folder):
    with pytest.raises(IndexError):
        Corpus.open(folder).samples(np.array([CLIPS]))


def test_splits_are_selected_by_row_number(folder):
    corpus = Corpus.open(folder)
    assert [corpus.select(split).tolist() for split in ("validation", "holdout", "test")] == [[21, 22], [23], [24]]
    assert len(corpus.select("train")) == 21
    assert corpus.folds == 1
    assert corpus.training_rows(0).tolist() == list(range(21))
    assert corpus.judged_rows(0).tolist() == [21, 22]


def test_a_fold_learns_from_the_other_folds_and_from_what_is_never_judged(tmp_path):
    splits = np.array(["train"] * 7 + ["holdout", "test"])
    folds = np.array([0, 1, 2, 0, 1, 2, NEVER_JUDGED, NEVER_JUDGED, NEVER_JUDGED])
    with CorpusWriter(tmp_path) as writer:
        for number, split in enumerate(splits):
            part = "test" if split == "test" else "train"
            writer.add(clip(number), clip=str(number), part=part, word=None if part == "test" else "yes")
        for fold in (2, NEVER_JUDGED, 0, 1, 2):
            writer.add_noise(Noise(f"of {fold}", np.full(9, fold, np.int16)), fold)
        writer.finish(splits, folds, source="demo", seed=1, commands=("yes",))
    corpus = Corpus.open(tmp_path)
    assert corpus.folds == 3
    assert [corpus.judged_rows(fold).tolist() for fold in range(3)] == [[0, 3], [1, 4], [2, 5]]
    assert [corpus.training_rows(fold).tolist() for fold in range(3)] == [
        [1, 2, 4, 5, 6],
        [0, 2, 3, 5, 6],
        [0, 1, 3, 4, 6],
    ]
    assert [noise.name for noise in corpus.training_noises(2)] == ["of -1", "of 0", "of 1"]


def test_noise_that_judges_a_fold_does_not_train_it(folder):
    (train,) = Corpus.open(folder).training_noises(0)
    assert train.name == "hum"
    np.testing.assert_array_equal(train.samples, np.arange(5000))


def test_the_writer_gives_back_the_noise_that_judges_a_fold(tmp_path):
    with CorpusWriter(tmp_path) as writer:
        for fold in (NEVER_JUDGED, 0, 1, 0):
            writer.add_noise(Noise(f"of {fold}", np.full(9, fold, np.int16)), fold)
        assert [[noise.name for noise in writer.noises(fold)] for fold in (0, 1)] == [["of 0", "of 0"], ["of 1"]]


def test_the_corpus_describes_itself(folder):
    corpus = Corpus.open(folder)
    assert corpus.vocabulary.words == ("cat", "no", "yes")
    assert corpus.seed == 7
    assert corpus.description["source"] == "demo"
    assert corpus.description["counts"]["validation"] == {"yes": 1, "no": 1, "unknown": 0, "silence": 0}
    assert corpus.description["counts"]["train"] == {"yes": 7, "no": 7, "unknown": 7, "silence": 0}
    assert corpus.description["counts"]["test"] == {"all": 1}
    assert "soundfile" in corpus.description["libraries"]


def test_the_fingerprint_follows_samples_and_rows_alone(folder, tmp_path):
    fingerprint = Corpus.open(folder).fingerprint
    assert len(fingerprint) == 64
    assert Corpus.open(write(tmp_path / "same")).fingerprint == fingerprint
    assert Corpus.open(write(tmp_path / "louder", first=1)).fingerprint != fingerprint
    assert Corpus.open(write(tmp_path / "longer", clips=CLIPS + 1)).fingerprint != fingerprint
    assert Corpus.open(write(tmp_path / "seeded", seed=8)).fingerprint != fingerprint


def test_it_is_a_memory_mapped_dataset(folder):
    dataset = Corpus.open(folder).dataset
    assert len(dataset) == CLIPS
    row = dataset.with_format("numpy")[12]
    assert row["clip"] == "yes/12.wav"
    np.testing.assert_array_equal(row["samples"], clip(12))
    assert dataset.features["samples"].feature.dtype == "int16"


def test_it_can_be_sent_to_a_loader_process(folder):
    sent = pickle.dumps(Corpus.open(folder))
    assert len(sent) < 1000
    np.testing.assert_array_equal(pickle.loads(sent).samples(np.array([5])), [clip(5)])


@pytest.mark.parametrize("name", ["corpus.json", "rows.parquet", "audio-00001.npy"])
def test_a_missing_file_says_what_to_run(folder, name):
    (folder / name).unlink()
    with pytest.raises(PipelineError, match=rf"{name}.*dvc repro prepare"):
        Corpus.open(folder)


@pytest.mark.parametrize("name", ["corpus.json", "rows.parquet", "audio-00001.npy"])
def test_a_file_cut_short_says_what_to_run(folder, name):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(PipelineError, match="dvc repro prepare"):
        Corpus.open(folder)


def test_metadata_are_columns_of_their_own(tmp_path):
    with CorpusWriter(tmp_path) as writer:
        writer.add(clip(0), clip="a", part="train", word="yes", metadata={"accent": "dutch"})
        writer.add(clip(1), clip="b", part="train", word="yes", metadata={"age": "30"})
        rows = writer.rows
        with pytest.raises(ValueError, match="metadata cannot be called fold, word"):
            writer.add(clip(2), clip="c", part="train", word="yes", metadata={"word": "no", "fold": "1"})
    assert rows["accent"].fillna("").tolist() == ["dutch", ""]
    assert rows["age"].fillna("").tolist() == ["", "30"]


def test_another_format_is_refused(folder):
    description = json.loads((folder / "corpus.json").read_text())
    (folder / "corpus.json").write_text(json.dumps({**description, "format": 0}))
    with pytest.raises(PipelineError, match="format 0"):
        Corpus.open(folder)


def test_samples_of_another_shape_are_refused(tmp_path):
    with CorpusWriter(tmp_path) as writer:
        for wrong in (np.zeros(15_999, np.int16), np.zeros(16_000, np.float32)):
            with pytest.raises(ValueError, match="expected int16"):
                writer.add(wrong, clip="a", part="train")


WRITE_MANY = """
import resource, sys
from pathlib import Path
import numpy as np
from pipeline.clips.corpus_writer import CorpusWriter
folder, clips = Path(sys.argv[1]), int(sys.argv[2])
silence = np.zeros(16_000, np.int16)
with CorpusWriter(folder) as writer:
    for number in range(clips):
        writer.add(silence, clip=f"yes/{number:08x}_nohash_0.wav", part="train", word="yes", speaker=f"{number:08x}")
    writer.finish(np.full(clips, "train"), np.full(clips, -1), source="demo", seed=0, commands=("yes",))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_stays_flat_as_clips_are_added(tmp_path):
    def peak_mb(clips):
        finished = subprocess.run(
            [sys.executable, "-c", WRITE_MANY, str(tmp_path), str(clips)], check=True, capture_output=True, text=True
        )
        return int(finished.stdout) / 1000

    assert peak_mb(7000) - peak_mb(1000) < 30  # the 6,000 clips between them are 192 MB


def test_a_shard_is_a_plain_file_of_numpy(folder):
    shards = [np.load(path) for path in sorted(folder.glob("audio-*"))]
    assert [shard.shape for shard in shards] == [(10, 16_000), (10, 16_000), (5, 16_000)]
    np.testing.assert_array_equal(np.concatenate(shards)[:, 0], np.arange(CLIPS))
    np.save(folder / "same.npy", shards[0])
    assert (folder / "same.npy").read_bytes() == (folder / "audio-00000.npy").read_bytes()


def test_the_number_of_clips_in_a_shard_changes_nothing_else(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(audio_shards, "SHARD_CLIPS", 7)
    other = Corpus.open(write(tmp_path / "other"))
    assert len(list(other.folder.glob("audio-*"))) == 4
    assert other.fingerprint == Corpus.open(folder).fingerprint
    np.testing.assert_array_equal(other.samples(np.arange(CLIPS)), Corpus.open(folder).samples(np.arange(CLIPS)))


def test_the_fingerprint_follows_the_noise_too(tmp_path):
    def fingerprint(name, level, fold):
        (tmp_path / name).mkdir()
        with CorpusWriter(tmp_path / name) as writer:
            writer.add(clip(1), clip="yes/1.wav", part="train", word="yes")
            writer.add_noise(Noise("hum", np.full(5000, level, np.int16)), fold)
            return writer.finish(
                np.array(["train"]), np.array([NEVER_JUDGED]), source="demo", seed=7, commands=("yes",)
            )["fingerprint"]

    made = fingerprint("one", 1, NEVER_JUDGED)
    assert fingerprint("same", 1, NEVER_JUDGED) == made
    assert fingerprint("louder", 2, NEVER_JUDGED) != made
    assert fingerprint("judging", 1, 0) != made
