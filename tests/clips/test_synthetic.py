"""Synthetic speech in the corpus: it is marked, trains nothing by itself, and never judges."""

import numpy as np
import pytest

from pipeline.clips.labels import Vocabulary
from pipeline.clips.synthetic import Spoken
from pipeline.errors import PipelineError
from tests.clips.test_preparation import clips, made, pitched


def speak(words, settings, seed):
    """Says each word's number, shorter than a second, then as often words that are none of them."""
    for number in range(settings.clips):
        yield Spoken(np.full(9_000, number, np.int16), words[number % len(words)], f"voice{number % settings.voices}")
    for number in range(settings.other_clips):
        yield Spoken(np.full(16_000, -number, np.int16), f"other{number}", "voice0")


def corpus_of(folder, **synthetic):
    noises = [pitched("hum", 20, 2)]
    return made(folder, [*clips(), *noises], folds=2, synthetic=synthetic, speak=speak)


def test_it_is_marked_and_in_no_row_that_trains_or_judges(tmp_path):
    plain, corpus = corpus_of(tmp_path / "plain"), corpus_of(tmp_path / "spoken", clips=6, other_clips=4, voices=2)
    added = corpus.select("synthetic")
    assert added.tolist() == list(range(len(plain), len(plain) + 10))
    rows = corpus.rows.iloc[added]
    assert rows["word"].tolist() == ["cat", "no", "yes"] * 2 + ["_unknown_"] * 4
    assert rows["clip"].iloc[0] == "_synthetic_/cat/voice0_000000.wav"
    assert rows["clip"].is_unique
    assert set(rows["speaker"]) == {"voice0", "voice1"}
    assert corpus.samples(added[1:2])[0].tolist() == [1] * 9_000 + [0] * 7_000
    for fold in range(2):
        assert corpus.training_rows(fold).tolist() == plain.training_rows(fold).tolist()
        assert corpus.judged_rows(fold).tolist() == plain.judged_rows(fold).tolist()
    assert corpus.description["counts"]["synthetic"] == {"all": 10}
    assert {**corpus.description["counts"], "synthetic": None} == {**plain.description["counts"], "synthetic": None}


def test_other_words_are_a_label_of_their_own_beside_the_words(tmp_path):
    corpus = corpus_of(tmp_path, other_clips=2)
    assert corpus.vocabulary.labels("words") == ["cat", "no", "unknown", "yes", "silence"]
    assert corpus.vocabulary.label_of("_unknown_", "words") == "unknown"
    assert isinstance(corpus.vocabulary, Vocabulary)


def test_a_source_without_words_has_nothing_to_speak(tmp_path):
    noises = [pitched("hum", 20, 2)]
    wordless = [item for item in clips(words=("_unknown_",))]
    with pytest.raises(PipelineError, match=r"no words\. Delete it in params\.yaml"):
        made(tmp_path, [*wordless, *noises], folds=2, commands=(), synthetic={"clips": 3}, speak=speak)


def test_folders_that_are_called_like_a_label_are_never_spoken(tmp_path):
    items = [*clips(words=("yes", "no", "cat", "silence", "unknown")), pitched("hum", 20, 2)]
    corpus = made(tmp_path, items, folds=2, synthetic={"clips": 6, "other_clips": 2}, speak=speak)
    spoken = corpus.rows.iloc[corpus.select("synthetic")]
    assert set(spoken["word"]) == {"yes", "no", "cat", "_unknown_"}
