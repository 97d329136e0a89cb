import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.listening.gate import Envelope, Gate, openings, share_open

SHARP = Gate(attack_ms=0, hold_ms=0, release_ms=0, lookahead_ms=0, range_db=-20)
RATE_HZ = 1_000  # a sample a millisecond


def test_a_step_speaks_for_half_a_hop_to_both_sides() -> None:
    heard = np.array([0, 0.5, 0.9, 0.49, 0, 0.7])
    assert openings(heard, SHARP, hop_s=0.1) == pytest.approx(np.array([[0.05, 0.25], [0.45, 0.55]]))
    assert openings(np.array([0.9, 0]), SHARP, 0.1) == pytest.approx(np.array([[-0.05, 0.05]]))


def test_lookahead_opens_earlier_hold_closes_later_and_what_touches_is_one() -> None:
    heard = np.array([0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1])
    gate = Gate(lookahead_ms=50, hold_ms=200)
    # 0.15-0.25, 0.55-0.65 and 1.15-1.25, longer by 50 ms before and 200 ms after.
    assert openings(heard, gate, 0.1) == pytest.approx(np.array([[0.1, 0.45], [0.5, 0.85], [1.1, 1.45]]))
    longer = gate.model_copy(update={"hold_ms": 250.0})
    assert openings(heard, longer, 0.1) == pytest.approx(np.array([[0.1, 0.9], [1.1, 1.5]]))


def test_a_threshold_never_reached_opens_nothing() -> None:
    stretches = openings(np.full(9, 0.79), Gate(threshold=0.8), 0.1)
    assert stretches.shape == (0, 2)
    assert share_open(stretches, 0.9) == 0
    assert Envelope(stretches, SHARP, RATE_HZ).gain(0, 5) == pytest.approx(np.full(5, 0.1))


def test_the_share_counts_what_lies_in_the_recording() -> None:
    assert share_open(np.array([[-0.1, 0.2], [0.5, 0.6], [0.9, 1.4]]), 1.0) == pytest.approx(0.4)


def test_without_attack_and_release_the_gain_jumps() -> None:
    gains = Envelope(np.array([[0.002, 0.005]]), SHARP, RATE_HZ).gain(0, 8)
    assert gains == pytest.approx([0.1, 0.1, 1, 1, 1, 0.1, 0.1, 0.1])


def test_attack_and_release_move_the_gain_evenly() -> None:
    gate = Gate(attack_ms=2, release_ms=4, range_db=-20)
    gains = Envelope(np.array([[0.001, 0.005]]), gate, RATE_HZ).gain(0, 10)
    rise, fall = [0.1 + 0.9 * x for x in (0.25, 0.75)], [1 - 0.9 * x for x in (0.125, 0.375, 0.625, 0.875)]
    assert gains == pytest.approx([0.1, *rise, 1, 1, *fall, 0.1])


def test_an_opening_shorter_than_the_attack_turns_where_it_is() -> None:
    gate = Gate(attack_ms=10, release_ms=10, range_db=-20)
    gains = Envelope(np.array([[0.0, 0.005]]), gate, RATE_HZ).gain(0, 12)
    assert gains.max() < 0.55
    assert gains[:5] == pytest.approx(gains[5:10][::-1])  # up for 5 ms, down as fast
    assert gains[10:] == pytest.approx([0.1, 0.1])


def test_an_opening_during_a_release_rises_from_where_the_gain_is() -> None:
    gate = Gate(attack_ms=10, release_ms=10, range_db=-20)
    gains = Envelope(np.array([[0.0, 0.02], [0.025, 0.05]]), gate, RATE_HZ).gain(0, 50)
    low = 1 - 0.9 / 2  # after half of the release
    assert gains[[24, 25]] == pytest.approx([low + 0.045, low + 0.045])
    assert gains[30:] == pytest.approx(np.ones(20))  # half of the attack later


def test_blocks_join_without_a_seam() -> None:
    envelope = Envelope(np.array([[-0.3, 0.2], [0.41, 0.6]]), Gate(), 44_100)
    whole = envelope.gain(0, 44_100)
    assert np.array_equal(np.concatenate([envelope.gain(at, at + 4_410) for at in range(0, 44_100, 4_410)]), whole)
    assert whole[0] == 1  # open before the recording begins: the attack is over
    assert np.abs(np.diff(whole)).max() <= 1 / (0.010 * 44_100)  # no click


def test_a_range_of_0_db_changes_nothing() -> None:
    envelope = Envelope(np.array([[0.1, 0.2], [0.21, 0.4]]), Gate(range_db=0, attack_ms=0), RATE_HZ)
    assert np.array_equal(envelope.gain(0, 500), np.ones(500))


@pytest.mark.parametrize(
    "bad", [{"threshold": 0}, {"threshold": 1.1}, {"range_db": 3}, {"hold_ms": -1}, {"attack": 3}], ids=str
)
def test_bad_values_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Gate(**bad)


def test_a_short_opening_during_a_release_turns_above_where_the_gain_was() -> None:
    gate = Gate(attack_ms=10, release_ms=10, range_db=-20)
    gains = Envelope(np.array([[0.0, 0.02], [0.025, 0.027]]), gate, RATE_HZ).gain(0, 50)
    low = 1 - 0.9 / 2
    assert gains[25:29] == pytest.approx([low + 0.045, low + 0.135, low + 0.135, low + 0.045])
