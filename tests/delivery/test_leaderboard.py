import pytest

from pipeline.delivery.leaderboard import rank


@pytest.mark.parametrize(("score", "place"), [(0.95, 1), (0.9, 1), (0.89, 2), (0.8, 2), (0.7, 4), (0.1, 5)])
def test_place_by_score(score, place):
    assert rank(score, [0.9, 0.8, 0.8, 0.7]) == place


def test_where_less_is_better_the_board_says_so():
    assert rank(0.15, [0.1, 0.2, 0.3]) == 2


def test_without_a_board_there_is_no_place():
    assert rank(0.5, []) is None
