import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.scoring import paired


def judged(seed, clips=600, speakers=60, better=0.05):
    """The truth of clips, a first decision that is `better` than a second, and the speakers."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, clips)
    luck = rng.random(clips)
    right, other = luck < 0.7 + better, luck < 0.7
    wrong = (truth + 1) % 3
    return truth, np.where(right, truth, wrong), np.where(other, truth, wrong), np.arange(clips) % speakers


def test_the_gain_is_the_difference_of_the_accuracies():
    truth, first, second, speakers = judged(0)
    found = paired.gain(truth, first, second, speakers, 3)
    assert found.value == pytest.approx(np.mean(first == truth) - np.mean(second == truth))
    assert found.low < found.value < found.high
    assert found.is_sure
    assert paired.gain(truth, second, first, speakers, 3).value == pytest.approx(-found.value)
    same = paired.gain(truth, first, first, speakers, 3)
    assert (same.value, same.error, same.is_sure) == (0, 0, False)


def test_a_prior_weighs_the_labels():
    truth, first, second, speakers = judged(1)
    first = np.where(truth == 2, second, first)
    assert paired.gain(truth, first, second, speakers, 3, np.array([0.0, 0.0, 1.0])).value == 0
    alone = paired.gain(truth, first, second, speakers, 3, np.array([1.0, 0.0, 0.0]))
    of_label = truth == 0
    expected = np.mean(first[of_label] == 0) - np.mean(second[of_label] == 0)
    assert alone.value == pytest.approx(expected)


def test_the_interval_covers_the_truth_nineteen_times_in_twenty():
    found = [paired.gain(*judged(seed, clips=300), 3) for seed in range(60)]
    covered = [gain.low <= 0.05 <= gain.high for gain in found]
    assert 0.85 <= np.mean(covered) <= 1.0
    assert np.mean([gain.error for gain in found]) == pytest.approx(np.std([gain.value for gain in found]), rel=0.25)


def test_clips_of_one_speaker_are_no_independent_witnesses():
    truth, first, second, _ = judged(2)
    alone = paired.gain(truth, first, second, np.arange(600), 3)
    clustered = paired.gain(truth, first, second, np.where(first == second, np.arange(600), -1 - np.arange(600) % 3), 3)
    assert clustered.error > 1.5 * alone.error


def test_one_speaker_alone_makes_nothing_sure():
    """Each draw of speakers is that one again, so that its clips would seem to tell the difference of all."""
    truth, first, second, _ = judged(2)
    alone = paired.gain(truth, first, second, ["ann"] * 600, 3)
    assert alone.value == pytest.approx(np.mean(first == truth) - np.mean(second == truth))
    assert (alone.low, alone.high, alone.is_sure) == (-1, 1, False)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_of_a_few_speakers_two_alike_are_seldom_told_apart(count):
    rng, wrong = np.random.default_rng(count), 0
    for seed in range(300):
        truth, speakers = np.zeros(count * 30, int), np.arange(count * 30) // 30
        first, second = ((rng.random(len(truth)) > rng.beta(2, 6, count).repeat(30)).astype(int) - 1 for _ in range(2))
        gain = paired.gain(truth, first, second, speakers, 1, seed=seed)
        wrong += not gain.low <= 0 <= gain.high
    assert wrong / 300 <= 0.13  # 0.05 are meant; without the widening 0.46, 0.32, 0.14


def test_one_speaker_beside_silence_makes_nothing_sure():
    truth, first, second, _ = judged(2)
    speakers = ["ann"] * 570 + [f"noise-{number}" for number in range(30)]
    assert paired.gain(truth, first, second, speakers, 3).low == -1


def test_clips_of_unknown_truth_do_not_judge_and_without_any_it_says_so():
    truth, first, second, speakers = judged(3)
    half = np.where(np.arange(600) < 300, truth, -1)
    expected = paired.gain(truth[:300], first[:300], second[:300], speakers[:300], 3)
    assert paired.gain(half, first, second, speakers, 3) == expected
    with pytest.raises(PipelineError, match=r"decide\.prior"):
        paired.gain(np.full(600, -1), first, second, speakers, 3)


@pytest.mark.parametrize(("errors", "is_sure"), [(1.5, False), (2.5, True)])
def test_a_gain_is_sure_above_two_standard_errors(errors, is_sure):
    assert paired.Gain(0.01 * errors, 0.01, 0.0, 0.1).is_sure is is_sure
