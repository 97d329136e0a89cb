import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.examples.rebalancing import Rebalancing, balanced_epoch_indices, epoch_indices, oversample

# Two commands of 40 and 20 clips (mean 30), unknown words of 100, 100 and 4 clips, some silence.
WORDS = np.repeat(["yes", "no", "bed", "cat", "owl", "_silence_"], [40, 20, 100, 100, 4, 10])
LABELS = np.repeat(["yes", "no", "unknown", "silence"], [40, 20, 204, 10])
IS_UNKNOWN = LABELS == "unknown"


def drawn(epoch=0, seed=3, **settings):
    return epoch_indices(LABELS, WORDS, Rebalancing(**settings), epoch, seed)


def test_unknown_is_drawn_to_the_mean_size_of_a_command_class():
    rows = drawn()
    assert (rows == np.unique(rows)).all()
    assert IS_UNKNOWN[rows].sum() == 30
    assert set(np.flatnonzero(~IS_UNKNOWN)) <= set(rows)
    assert IS_UNKNOWN[drawn(unknown=0.5)].sum() == 15
    assert IS_UNKNOWN[drawn(unknown=0.0)].sum() == 0


def test_each_unknown_word_has_an_even_share_and_a_rare_one_gives_all():
    counts = {word: (WORDS[drawn()] == word).sum() for word in ("bed", "cat", "owl")}
    assert counts == {"bed": 13, "cat": 13, "owl": 4}
    one_more = drawn(unknown=31 / 30)
    assert sorted((WORDS[one_more] == word).sum() for word in ("bed", "cat")) == [13, 14]


def test_epochs_go_through_all_clips_before_any_comes_back():
    beds = [row for epoch in range(7) for row in drawn(epoch) if WORDS[row] == "bed"]
    assert len(beds) == 91 == len(set(beds))


def test_a_fixed_draw_is_the_same_in_each_epoch():
    np.testing.assert_array_equal(drawn(epoch=0, redraw=False), drawn(epoch=5, redraw=False))


def test_a_draw_is_a_function_of_seed_and_epoch():
    np.testing.assert_array_equal(drawn(epoch=4), drawn(epoch=4))
    assert set(drawn(seed=3)) != set(drawn(seed=4))


def test_all_keeps_every_clip():
    np.testing.assert_array_equal(drawn(unknown="all"), np.arange(len(LABELS)))
    np.testing.assert_array_equal(drawn(unknown=50.0), np.arange(len(LABELS)))


def test_word_labels_have_no_unknown_to_draw():
    labels = np.where(WORDS == "_silence_", "silence", WORDS)
    np.testing.assert_array_equal(epoch_indices(labels, WORDS, Rebalancing(), 0, 0), np.arange(len(WORDS)))


def test_an_even_draw_takes_the_frequent_answer_in_stretches_as_long_as_the_rare_one():
    answers = np.repeat([1, 0, 1], [30, 20, 40])
    epochs = [balanced_epoch_indices(answers, Rebalancing(even=True), epoch, seed=3) for epoch in range(3)]
    for rows in epochs:
        assert (rows == np.unique(rows)).all()
        assert set(np.flatnonzero(answers == 0)) <= set(rows)
        assert len(rows) == 40
    yes = [row for rows in epochs for row in rows if answers[row]]
    assert len(yes) == 60 == len(set(yes))
    fixed = Rebalancing(even=True, redraw=False)
    np.testing.assert_array_equal(
        balanced_epoch_indices(answers, fixed, 5, seed=3), balanced_epoch_indices(answers, fixed, 0, seed=3)
    )


@pytest.mark.parametrize("unknown", [-0.1, "some"])
def test_bad_ratios_are_refused(unknown):
    with pytest.raises(ValidationError):
        Rebalancing(unknown=unknown)


def test_a_share_is_the_same_part_of_each_word_in_every_epoch():
    words = np.array(["yes"] * 40 + ["no"] * 20 + ["cat"] * 10 + ["_silence_"] * 2)
    labels = np.where(words == "cat", "unknown", np.where(words == "_silence_", "silence", words))
    settings = Rebalancing(share=0.3, unknown="all")
    part = epoch_indices(labels, words, settings, epoch=0, seed=1)
    assert {word: int((words[part] == word).sum()) for word in np.unique(words)} == {
        "yes": 12,
        "no": 6,
        "cat": 3,
        "_silence_": 1,
    }
    assert epoch_indices(labels, words, settings, epoch=5, seed=1).tolist() == part.tolist()
    assert epoch_indices(labels, words, settings, epoch=0, seed=2).tolist() != part.tolist()
    # What is drawn anew each epoch comes out of that part alone.
    reduced = [epoch_indices(labels, words, Rebalancing(share=0.3, unknown=0.1), epoch, seed=1) for epoch in range(4)]
    assert all(set(positions) <= set(part) for positions in reduced)
    assert len({tuple(positions) for positions in reduced}) > 1


def test_rarer_labels_are_drawn_again_until_all_are_as_many():
    targets = np.array([4] * 50 + [1] * 10 + [2] * 30)
    drawn = oversample(targets, np.random.default_rng(0))
    assert np.unique(targets[drawn], return_counts=True)[1].tolist() == [50, 50, 50]
    assert set(drawn) == set(range(90))
    assert drawn.tolist() == sorted(drawn)
    np.testing.assert_array_equal(drawn, oversample(targets, np.random.default_rng(0)))
    assert (drawn != oversample(targets, np.random.default_rng(1))).any()


def test_what_is_balanced_stays_as_it_is():
    assert oversample(np.array([1, 0, 1, 0]), np.random.default_rng(0)).tolist() == [0, 1, 2, 3]
