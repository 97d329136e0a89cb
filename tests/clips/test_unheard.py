import pytest

from pipeline.clips import unheard
from pipeline.errors import PipelineError

WORDS = ["yes", "no", "_silence_", "_unknown_", "silence", "unknown", *"abcdefghij"]


def test_each_fold_leaves_out_other_words_and_no_command():
    dealt = unheard.deal(WORDS, ["yes", "no"], 0.2, 5, seed=1)
    assert [len(words) for words in dealt] == [2] * 5
    assert sorted(word for words in dealt for word in words) == list("abcdefghij")
    assert dealt == unheard.deal(WORDS[::-1], ["yes", "no"], 0.2, 5, seed=1)
    assert dealt != unheard.deal(WORDS, ["yes", "no"], 0.2, 5, seed=2)


def test_where_words_run_short_they_come_again_in_another_fold():
    dealt = unheard.deal(WORDS, ["yes", "no"], 0.4, 5, seed=1)
    assert [len(set(words)) for words in dealt] == [4] * 5
    assert all(sum(word in words for words in dealt) == 2 for word in "abcdefghij")


def test_nothing_is_left_out_unless_it_is_asked_for_and_never_all():
    assert unheard.deal(WORDS, ["yes", "no"], 0.0, 2, seed=1) == [[], []]
    assert [len(words) for words in unheard.deal(WORDS, ["yes", "no"], 0.01, 2, seed=1)] == [1, 1]
    for few in (["yes", "no", "a"], ["yes", "no"]):
        with pytest.raises(PipelineError, match=r"unheard_words: 0\.2 leaves no unknown word"):
            unheard.deal(few, ["yes", "no"], 0.2, 2, seed=1)
