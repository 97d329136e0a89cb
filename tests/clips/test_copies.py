"""Copies among a source's own clips."""

import numpy as np
import pandas

from pipeline.clips import copies
from pipeline.clips.audio_shards import digest_of
from pipeline.clips.preparation import Prepare, build
from pipeline.clips.recording import Recording
from pipeline.clips.silence import Silence
from tests.wavs import coded


def told(*clips):
    """Warnings of clips (name, word, split, fold, samples)."""
    names, words, splits, folds, samples = zip(*clips, strict=True)
    rows = pandas.DataFrame({"clip": names, "word": pandas.array(words, "str")})
    digests = [np.frombuffer(digest_of(np.full(16_000, value, np.int16))[:8], np.uint64)[0] for value in samples]
    return copies.warnings_of(rows, np.array(splits), np.array(folds), np.array(digests))


def test_copies_that_train_and_judge_are_told():
    (warning,) = told(
        ("yes/a.wav", "yes", "train", -1, 1),
        ("yes/b.wav", "yes", "validation", 0, 1),
        ("yes/c.wav", "yes", "train", -1, 2),
        ("yes/d.wav", "yes", "train", -1, 2),
        ("yes/e.wav", "yes", "train", -1, 0),
        ("clip_1.wav", None, "test", -1, 0),
    )
    assert warning.startswith("Warning: 2 clips are copies of each other, such as yes/a.wav and yes/b.wav")


def test_of_folds_too_and_of_the_test_set():
    (warning,) = told(
        *(
            ("yes/a.wav", "yes", "train", 0, 1),
            ("yes/b.wav", "yes", "train", 1, 1),
            ("clip_1.wav", None, "test", -1, 2),
        ),
        ("yes/c.wav", "yes", "train", 1, 2),
    )
    assert "4 clips" in warning


def test_copies_that_no_net_learns_are_no_matter():
    """Such as the test set of Speech Commands, whose clips are in the training archive, too, and held out."""
    assert not told(
        ("yes/a.wav", "yes", "holdout", -1, 1),
        ("clip_1.wav", None, "test", -1, 1),
        ("yes/b.wav", "yes", "validation", 0, 2),
        ("clip_2.wav", None, "test", -1, 2),
    )


def test_copies_under_two_words_are_told():
    (warning,) = told(("yes/a.wav", "yes", "train", 0, 1), ("no/a.wav", "no", "train", 0, 1))
    assert "under different words, such as no/a.wav and yes/a.wav" in warning


def test_preparing_a_source_tells_of_its_copies(tmp_path, capsys):
    """With what `build` knows: rows in their order, quarantined clips and other sources between them."""
    rng = np.random.default_rng(0)
    sounds = {speaker: coded(rng.integers(-1000, 1000, 16_000).astype(np.int16)) for speaker in "abcdef"}
    items = [
        Recording("train", f"{word}/{speaker}_nohash_{word}.wav", sound + bytes(len(word)), word, speaker)
        for word in ("yes", "no", "cat")
        for speaker, sound in sounds.items()
    ]
    broken = Recording("train", "yes/a_nohash_9.wav", b"RIFF", "yes", "a")
    settings = Prepare(
        commands=("yes", "no"), splits="grouped", silence=Silence(train=0, validation=0), without=("silence",)
    )
    build(tmp_path, [broken, *items], None, None, settings, "demo", 1, None)
    told = capsys.readouterr().out
    assert "18 clips are copies of each other under different words" in told
    assert "some train where others judge" not in told  # each speaker is apart from the others
