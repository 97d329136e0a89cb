"""One table of several: sums and products, of members with words and without."""

import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.scoring.combination import Combination
from pipeline.scoring.probabilities import Probabilities

LABELS = ["yes", "unknown", "silence"]
WORDS = ["cat", "dog", "yes", "silence"]


def table(rows, clips=("a", "b"), labels=LABELS, run="", corpus="c"):
    return Probabilities(list(clips), list(labels), np.array(rows), run, corpus)


def given(weights, **more):
    return Combination("given", weights, **more)


def mixed(clips=50):
    """Members with 4 words and with 3 labels, in different orders of the clips."""
    rng = np.random.default_rng(0)
    names = [str(clip) for clip in range(clips)]
    return {
        "ast": table(rng.dirichlet(np.ones(3), clips), names),
        "a": table(rng.dirichlet(np.ones(4) / 4, clips), names, WORDS),
        "b": table(rng.dirichlet(np.ones(4) / 4, clips), names[::-1], WORDS),
    }


def test_a_sum_is_of_aligned_and_mapped_probabilities():
    commands = table([[0.8, 0.2, 0.0], [0.0, 0.4, 0.6]])
    words = table(
        [[0.2, 0.2, 0.3, 0.3], [0.6, 0.1, 0.1, 0.2]], clips=("b", "a"), labels=("yes", "cat", "dog", "silence")
    )
    voted = given({"ast": 0.75, "words": 0.25}).vote({"ast": commands, "words": words}, ["yes"])
    assert (voted.clips, voted.labels, voted.run, voted.corpus) == (["a", "b"], LABELS, "ensemble", "c")
    assert voted.values == pytest.approx(np.array([[0.75, 0.2, 0.05], [0.05, 0.425, 0.525]]), abs=1e-6)


@pytest.mark.parametrize("other", [{"clips": ("a", "z")}, {"clips": ("a", "b", "d")}, {"corpus": "another"}])
def test_different_clips_or_corpora_are_refused(other):
    rows = [[1.0, 0.0, 0.0]] * len(other.get("clips", "ab"))
    with pytest.raises(PipelineError, match="'ast' and 'lstm' are of different clips or corpora"):
        given({"ast": 0.5, "lstm": 0.5}).vote({"ast": table(rows[:2]), "lstm": table(rows, **other)}, ["yes"])


def test_a_stack_is_the_product_of_powers_and_biases():
    one, other = table([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]]), table([[0.2, 0.7, 0.1], [0.0, 0.5, 0.5]])
    bias = {"yes": 0.5, "unknown": 0.0, "silence": -0.5}
    voted = Combination("stacking", {"one": 0.7, "other": 1.2}, bias=bias).vote({"one": one, "other": other}, ["yes"])
    expected = one.values**0.7 * np.maximum(other.values, 1e-7) ** 1.2 * np.exp([0.5, 0.0, -0.5])
    assert voted.values == pytest.approx(expected / expected.sum(axis=1, keepdims=True), abs=1e-6)


def test_words_share_what_a_member_without_words_gives_to_unknown():
    words = table([[0.3, 0.1, 0.5, 0.1], [0.0, 0.0, 0.9, 0.1]], labels=WORDS)
    commands = table([[0.2, 0.6, 0.2], [0.5, 0.4, 0.1]], clips=("a", "b"))
    voted = given({"words": 0.25, "ast": 0.75}).vote_words({"words": words, "ast": commands}, ["yes"])
    assert (voted.labels, voted.clips) == (WORDS, ["a", "b"])
    # Of clip a, three quarters of unknown are the cat's; of b nobody knows, so both words get the same.
    expected = [
        [0.25 * 0.3 + 0.75 * 0.45, 0.25 * 0.1 + 0.75 * 0.15, 0.25 * 0.5 + 0.75 * 0.2, 0.25 * 0.1 + 0.75 * 0.2],
        [0.75 * 0.2, 0.75 * 0.2, 0.25 * 0.9 + 0.75 * 0.5, 0.25 * 0.1 + 0.75 * 0.1],
    ]
    assert voted.values == pytest.approx(np.array(expected), abs=1e-6)


@pytest.mark.parametrize(
    "combination",
    [
        given({"ast": 0.5, "a": 0.2, "b": 0.3}),
        given({"ast": 1.0, "a": 0.0, "b": 0.0}),
        given({"ast": 0.5, "a": 0.2, "b": 0.3}, temperatures={"a": 0.5, "ast": 2.0}),
        Combination("stacking", {"ast": 0.4, "a": 0.9, "b": 0.0}, bias={"yes": 0.3, "unknown": -0.2, "silence": 0.0}),
    ],
)
def test_a_vote_over_words_summed_is_the_vote_over_the_submissions_labels(combination):
    voted = combination.vote_words(mixed(), ["yes"])
    assert voted.labels == WORDS
    assert voted.to_submission_labels(["yes"]).values == pytest.approx(
        combination.vote(mixed(), ["yes"]).values, abs=1e-6
    )


def test_without_a_member_with_words_there_are_none():
    assert given({"ast": 1.0}).vote_words(mixed(), ["yes"]).labels == LABELS


def test_temperatures_come_before_words_are_summed():
    words = table([[0.2, 0.3, 0.4, 0.1]] * 2, labels=WORDS)
    voted = given({"words": 1.0}, temperatures={"words": 0.5}).vote({"words": words}, ["yes"])
    assert voted.values[0] == pytest.approx(np.array([0.16, 0.04 + 0.09, 0.01]) / 0.30, abs=1e-6)


def test_what_is_told_is_rounded_and_leaves_out_what_there_is_not():
    assert given({"ast": 1 / 3}).to_dict() == {"method": "given", "weights": {"ast": 0.33333}}


def test_members_with_words_share_unknown_by_their_weights_and_temperatures():
    one, other = table([[0.6, 0.2, 0.1, 0.1]] * 2, labels=WORDS), table([[0.1, 0.7, 0.1, 0.1]] * 2, labels=WORDS)
    voted = given({"one": 0.75, "other": 0.25}, temperatures={"one": 0.5}).vote_words(
        {"one": one, "other": other}, ["yes"]
    )
    # At half the temperature, the first one's are 36, 4, 1 and 1 of 42.
    assert voted.values[0, :2] == pytest.approx([0.75 * 36 / 42 + 0.25 * 0.1, 0.75 * 4 / 42 + 0.25 * 0.7], abs=1e-6)
