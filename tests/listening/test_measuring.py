"""What is measured of an ear whose false alarms and words are known beforehand."""

import numpy as np
import pytest

from pipeline.clips.noise import Noise
from pipeline.listening.ear import SlidingSecond
from pipeline.listening.measuring import measure
from pipeline.listening.spotting import Spotting

NOISES = [Noise("hiss", np.random.default_rng(0).normal(0, 500, 160_000).astype(np.int16))]
SETTINGS = Spotting(smoothing_ms=0, refractory_ms=0)


class Sure:
    """Hears "yes" with 0.85 where the middle of a second is loud, and with 0.9 at the steps `alarms`."""

    labels = ("yes", "silence")
    multi_label = False

    def __init__(self, alarms: tuple[int, ...]) -> None:
        self.alarms, self.step = alarms, 0

    def predict_proba(self, inputs: np.ndarray) -> np.ndarray:
        steps = np.arange(self.step, self.step + len(inputs))
        self.step += len(inputs)
        yes = np.where(np.abs(inputs[:, 8_000].astype(int)) > 2_000, 0.85, 0.9 * np.isin(steps, self.alarms))
        return np.stack([yes, 1 - yes], axis=1).astype(np.float32)


@pytest.mark.parametrize("hop_ms", [100, 1_000])
@pytest.mark.parametrize(("hours", "alarms", "limit"), [(1, 1, 1.0), (0.2, 1, 5.0), (1, 5, 5.0), (0.6, 3, 5.0)])
def test_as_many_alarms_as_are_allowed_are_not_too_many(hours, alarms, limit, hop_ms):
    clip = np.full(16_000, 9_000, np.int16)
    found = measure(
        lambda: SlidingSecond(Sure(tuple(range(100, 100 + 10 * alarms, 10))), hop_ms),
        ["yes"],
        lambda: ((clip, "yes") for _ in range(9)),
        [str(speaker) for speaker in range(9)],
        NOISES,
        SETTINGS,
        hours,
        seed=1,
    )
    told = {each.alarms_per_hour: each for each in found[0].figures}[limit]
    assert told.threshold < 0.85
    assert told.detection_rate == 1


@pytest.mark.parametrize("seed", [20, 48])
def test_a_word_in_the_last_half_second_is_heard(seed):
    """The clip ends loud, and at these seeds there are only 0.04 and 0.02 s of noise after it."""
    clip = np.zeros(16_000, np.int16)
    clip[12_000:] = 9_000
    (found, *_) = measure(
        lambda: SlidingSecond(Sure(()), 100),
        ["yes"],
        lambda: iter([(clip, "yes")]),
        ["ann"],
        NOISES,
        SETTINGS,
        hours=0.01,
        seed=seed,
    )
    assert {point.detection_rate for point in found.points if point.threshold < 0.85} == {1}
