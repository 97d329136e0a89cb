import numpy as np
import pytest

from pipeline.listening.operating_points import Heard, Point, at_alarms, curve, found
from pipeline.listening.scenes import Placed
from pipeline.listening.spotting import Spotter, Spotting

SETTINGS = Spotting(threshold=0.6, smoothing_ms=200, refractory_ms=500)


def test_a_word_counts_at_its_place_and_under_its_label() -> None:
    placed = [Placed("yes", 1, 2), Placed("no", 4, 5), Placed("yes", 8, 9)]
    assert found([(1.5, "yes"), (4.5, "yes"), (9.2, "yes")], placed).tolist() == [True, False, True]
    assert found([(0.7, "yes"), (5.2, "no")], placed).tolist() == [False, True, False]
    assert found([], placed).tolist() == [False] * 3


def test_every_threshold_detects_as_a_spotter_with_it_would() -> None:
    values = np.random.default_rng(1).dirichlet([1, 1, 1], 600).astype(np.float32)
    heard = Heard(["yes", "no"], 0.1, SETTINGS)
    for part in np.array_split(values, 11):
        heard.push(part[:, [2, 0]])
    assert heard.steps == 600
    for threshold in (0.5, 0.6, 0.7):
        spotter = Spotter(
            ["no", "silence", "yes"], ["yes", "no"], 0.1, SETTINGS.model_copy(update={"threshold": threshold})
        )
        expected = [(one.time_s, one.label) for one in spotter.push(values)]
        told = heard.detections(threshold)
        assert [label for _, label in told] == [label for _, label in expected]
        assert [time for time, _ in told] == pytest.approx([time for time, _ in expected], abs=1e-3)


def test_the_curve_trades_words_for_alarms() -> None:
    def scene(peaks: dict[int, float], steps: int) -> Heard:
        values = np.zeros((steps, 1), np.float32)
        for step, value in peaks.items():
            values[step : step + 2] = value
        heard = Heard(["yes"], 0.1, SETTINGS)
        heard.push(values)
        return heard

    noise = scene({100: 0.9, 1_000: 0.7, 9_000: 0.5, 20_000: 0.3}, 36_000)  # an hour
    placed = [Placed("yes", at / 10, at / 10 + 1) for at in (100, 200, 300)]
    points = curve(noise, scene({105: 0.8, 205: 0.6, 305: 0.4}, 400), placed, ["ann", "bob", "eve"])
    one, two, none = (at_alarms(points, limit) for limit in (1, 2, 0))
    assert one.detection_rate == pytest.approx(1 / 3)
    assert 0.69 < one.threshold < 0.72
    assert two.detection_rate == pytest.approx(2 / 3)
    assert none.detection_rate == 0
    assert one.low < 1 / 3 < one.high


def test_alarms_at_any_threshold_leave_nothing() -> None:
    told = at_alarms([Point(0.5, 9, 1.0, 0.9, 1.0), Point(0.9, 3, 0.9, 0.8, 1.0)], 1)
    assert (told.threshold, told.detection_rate) == (1.0, 0.0)


def test_no_threshold_below_one_with_too_many_alarms_is_taken():
    rates = {0.2: (1.0, 0.9), 0.5: (7.0, 0.8), 0.8: (1.0, 0.5)}
    points = [Point(threshold, *rate, 0.0, 1.0) for threshold, rate in rates.items()]
    assert at_alarms(points, 5.0).threshold == 0.8


def test_words_of_one_speaker_are_no_independent_witnesses():
    """Five speakers of ten words each are understood, and five are not."""
    placed = [Placed("yes", 3.0 * number, 3.0 * number + 1) for number in range(100)]
    values = np.zeros((3_000, 1), np.float32)
    for word in placed[:50]:
        values[round(10 * word.start_s) + 3 :][:3] = 0.9
    heard, noise = Heard(["yes"], 0.1, SETTINGS), Heard(["yes"], 0.1, SETTINGS)
    heard.push(values)
    noise.push(np.zeros((36_000, 1), np.float32))
    widths = []
    for speakers in (np.arange(100) // 10, np.arange(100)):
        told = at_alarms(curve(noise, heard, placed, [str(of) for of in speakers]), 1)
        assert told.detection_rate == 0.5
        widths.append(told.high - told.low)
    assert widths[0] > 2.5 * widths[1]
