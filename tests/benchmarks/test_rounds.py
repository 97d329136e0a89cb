import pytest

from pipeline.benchmarks.rounds import Rounds, Spread, alternate, seconds


def test_the_two_take_turns_after_an_untimed_call():
    calls = []
    times = alternate(lambda: calls.append("ours"), lambda: calls.append("other"), rounds=3)
    assert calls == ["ours", "other"] * 4
    assert len(times.ours_s) == len(times.other_s) == 3
    calls.clear()
    alternate(lambda: calls.append("ours"), lambda: calls.append("other"), rounds=1, warm_up=False)
    assert calls == ["ours", "other"]


def test_speed_is_taken_round_by_round():
    speed = Rounds(ours_s=[1.0, 2.0, 1.0], other_s=[5.0, 8.0, 7.0]).speed
    assert speed.values == [5.0, 4.0, 7.0]
    assert speed.middle == 5.0


@pytest.mark.parametrize(
    ("values", "text"),
    [([0.8351], "0.84"), ([2.0, 1.0, 12.34], "2.00 (1.00 to 12.3)"), ([1234.5, 1234.5], "1,234 (1,234 to 1,234)")],
)
def test_a_spread_shows_its_extremes(values, text):
    assert str(Spread(values)) == text


def test_an_exception_is_not_timed_away():
    with pytest.raises(ZeroDivisionError):
        seconds(lambda: 1 / 0)
