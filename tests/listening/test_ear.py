import numpy as np

from pipeline.listening.ear import SlidingSecond, StreamingEar
from tests.listening.loud import Loud, tones

SOUND = (tones({1.0: "low", 2.5: "high"}, 4) * 32_767).astype(np.int16)


def cut(sound: np.ndarray) -> list[np.ndarray]:
    return np.split(sound, [0, 1, 700, 1_600, 1_601, 20_000, 47_999])


def test_a_sliding_second_hears_the_same_in_blocks_of_any_size() -> None:
    whole = SlidingSecond(Loud(), 100).hear(SOUND)
    assert len(whole) == 1 + (len(SOUND) - 16_000) // 1_600
    piecewise = SlidingSecond(Loud(), 100)
    np.testing.assert_array_equal(np.concatenate([piecewise.hear(block) for block in cut(SOUND)]), whole)
    # The second step is of samples 1,600 to 17,600.
    np.testing.assert_array_equal(whole[1:2], Loud().predict_proba(SOUND[None, 1_600:17_600]))


class Counting:
    """Steps whose state is how many there were: the first probability tells it, the other is the first sample."""

    number = 0

    def __call__(self, samples):
        assert samples.shape == (1, 1_600)
        self.number += 1
        return np.array([self.number, samples[0, 0]], np.float32)


def test_a_streaming_ear_hands_its_state_on_and_begins_with_the_first_whole_second() -> None:
    whole = StreamingEar(Counting(), ["steps", "first"], 1_600).hear(SOUND)
    np.testing.assert_array_equal(whole[:, 0], np.arange(10, 41))  # as many as a sliding second has
    np.testing.assert_array_equal(whole[:, 1], SOUND[9 * 1_600 :: 1_600].astype(np.float32) / 32_768)
    piecewise = StreamingEar(Counting(), ["steps", "first"], 1_600)
    np.testing.assert_array_equal(np.concatenate([piecewise.hear(block) for block in cut(SOUND)]), whole)
