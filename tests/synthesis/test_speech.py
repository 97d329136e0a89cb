"""Synthetic clips: how many of which word, by whom, and the same from the same seed."""

import re
from collections import Counter

import numpy as np
import pytest

from pipeline.clips.synthetic import Synthetic
from pipeline.errors import PipelineError
from pipeline.synthesis.speech import synthetic_clips
from pipeline.synthesis.words import OTHER_WORDS

WORDS = ["yes", "no", "orange"]


def spoken(seed=1, **settings):
    return list(synthetic_clips(WORDS, Synthetic(**{"clips": 7, "other_clips": 5, "voices": 3, **settings}), seed))


def test_each_word_is_spoken_as_often_and_goes_round_the_voices():
    clips = spoken()
    counts = Counter(clip.word for clip in clips)
    assert sorted(counts[word] for word in WORDS) == [2, 2, 3]
    others = {word for word in counts if word not in WORDS}
    assert len(others) == 5
    assert others <= set(OTHER_WORDS)
    assert len({clip.speaker for clip in clips}) == 3
    assert len({(clip.word, clip.speaker) for clip in clips}) == 12


def test_few_clips_of_many_words_are_by_all_voices():
    others = [clip for clip in spoken(clips=0, other_clips=40, voices=20) if clip.word not in WORDS]
    assert set(Counter(clip.speaker for clip in others).values()) == {2}


def test_clips_are_audible_and_at_most_a_second_long():
    for clip in spoken(clips=3, other_clips=0):
        assert clip.samples.dtype == np.int16
        assert 3_000 < len(clip.samples) <= 16_000
        assert np.abs(clip.samples.astype(int)).max() > 200


def test_the_seed_decides_every_sample():
    first, again, other = spoken(), spoken(), spoken(seed=2)
    assert all(np.array_equal(a.samples, b.samples) for a, b in zip(first, again, strict=True))
    assert [clip.speaker for clip in first] != [clip.speaker for clip in other]


@pytest.mark.parametrize("word", ["_", "..."])
def test_a_word_without_a_sound_is_named(word):
    with pytest.raises(
        PipelineError, match=rf"no sound for the word '{re.escape(word)}'.*\n.*clips: 0 in params\.yaml"
    ):
        list(synthetic_clips(["yes", word], Synthetic(clips=4, voices=1), 1))


def test_words_of_other_letters_are_not_spoken_in_english():
    with pytest.raises(PipelineError, match=r"English: 'да', 'été' cannot be spoken.*\n?.*synthetic\.clips: 0"):
        next(synthetic_clips(["yes", "да", "été"], Synthetic(clips=4), 1))
    (clip,) = synthetic_clips(["да"], Synthetic(other_clips=1), 1)
    assert clip.word in OTHER_WORDS


def test_no_other_word_is_a_command_or_named_twice():
    archive = [
        "yes",
        "no",
        "up",
        "down",
        "left",
        "right",
        "on",
        "off",
        "stop",
        "go",
        "bed",
        "bird",
        "cat",
        "dog",
        "happy",
        "house",
        "marvin",
        "sheila",
        "tree",
        "wow",
    ]
    assert not {*archive, "zero", "one", "two", "three", "four"} & set(OTHER_WORDS)
    assert len(set(OTHER_WORDS)) == len(OTHER_WORDS)
