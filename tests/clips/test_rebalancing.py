import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.clips.rebalancing import Rebalancing, draw

# Two commands of 40 and 20 clips (mean 30), unknown words of 100, 100 and 4 clips, some silence.
WORDS = np.repeat(["yes", "no", "bed", "cat", "owl", "_silence_"], [40, 20, 100, 100, 4, 10])
LABELS = np.repeat(["yes", "no", "unknown", "silence"], [40, 20, 204, 10])
IS_UNKNOWN = LABELS == "unknown"


def drawn(epoch=0, seed=3, **settings):
    return draw(LABELS, WORDS, Rebalancing(**settings), epoch, seed)


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
    np.testing.assert_array_equal(draw(labels, WORDS, Rebalancing(), 0, 0), np.arange(len(WORDS)))


@pytest.mark.parametrize("unknown", [-0.1, "some"])
def test_bad_ratios_are_refused(unknown):
    with pytest.raises(ValidationError):
        Rebalancing(unknown=unknown)
