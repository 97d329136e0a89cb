import numpy as np
import pytest

from pipeline import metrics
from pipeline.errors import PipelineError

COUNTS = np.array([[8, 2, 0], [5, 5, 0], [0, 0, 0]])


def test_confusion_has_truth_in_rows():
    assert metrics.confusion(np.array([0, 0, 1]), np.array([1, 1, 0]), 3).tolist() == [[0, 2, 0], [1, 0, 0], [0, 0, 0]]


def test_recall_is_nan_without_clips():
    assert metrics.recalls(COUNTS)[:2].tolist() == [0.8, 0.5]
    assert np.isnan(metrics.recalls(COUNTS)[2])


def test_accuracy_under_a_prior_weighs_the_recalls():
    assert metrics.accuracy(COUNTS) == 0.65
    assert metrics.accuracy(COUNTS, np.array([0.9, 0.1, 0.0])) == pytest.approx(0.77)
    # The third label has no clip: its share falls to the others.
    assert metrics.accuracy(COUNTS, np.array([0.45, 0.05, 0.5])) == pytest.approx(0.77)


def test_a_prior_without_any_judged_label_is_refused():
    with pytest.raises(PipelineError, match="None of the labels"):
        metrics.accuracy(COUNTS, np.array([0.0, 0.0, 1.0]))


def test_macro_f1_leaves_out_labels_that_do_not_occur():
    assert metrics.macro_f1(COUNTS) == pytest.approx((16 / 23 + 10 / 17) / 2)


def test_effective_clips_are_the_clips_when_all_weigh_the_same():
    assert metrics.effective_clips(COUNTS, np.array([0.5, 0.5, 0.0])) == pytest.approx(20)
    assert metrics.effective_clips(COUNTS, np.array([0.9, 0.1, 0.0])) == pytest.approx(1 / (0.081 + 0.001))


def test_wilson_interval_of_a_textbook_case():
    assert metrics.wilson(0.8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    low, high = metrics.wilson(1.0, 50)
    assert high == pytest.approx(1)
    assert low == pytest.approx(0.9287, abs=1e-4)


def test_clips_of_one_speaker_count_as_fewer():
    truth, predicted = np.zeros(100, int), np.repeat([0, 1], [80, 20])
    alone = metrics.clustered_clips(truth, predicted, np.arange(100).astype(str), 2, np.array([1.0, 0.0]))
    assert alone == pytest.approx(
        99 / 1.0124**2, abs=0.1
    )  # as many as there are; 1.9842 is Student's of 99, 1.96 normal
    # Ten clips of each speaker, all right or all wrong, tell no more than ten clips.
    alike = metrics.clustered_clips(truth, predicted, (np.arange(100) // 10).astype(str), 2, np.array([1.0, 0.0]))
    assert alike == pytest.approx(9 / (2.2622 / 1.96) ** 2, abs=0.1)  # Student's of 9
    perfect = metrics.clustered_clips(truth, truth, (np.arange(100) // 10).astype(str), 2, np.array([1.0, 0.0]))
    assert perfect == pytest.approx(100 / (2.2622 / 1.96) ** 2, abs=0.1)


def test_one_speaker_alone_counts_as_one_clip():
    """How much speakers differ cannot be told from one of them: its hundred clips are no hundred voices."""
    truth, predicted = np.zeros(100, int), np.repeat([0, 1], [80, 20])
    for of, by in ((predicted, ["ann"]), (truth, ["ann"])):
        assert metrics.clustered_clips(truth, of, by * 100, 2, np.array([1.0, 0.0])) == 1
    one, two = (metrics.judge(truth, predicted, by, ["yes", "no"]) for by in (["ann"] * 100, ["ann", "bob"] * 50))
    assert one["prior_accuracy"] == two["prior_accuracy"] == 0.8
    assert one["prior_accuracy_low"] < 0.2
    assert one["prior_accuracy_high"] > two["prior_accuracy_high"]


def test_one_speaker_beside_silence_that_nobody_spoke_is_still_one():
    truth = np.repeat([0, 1, 2], [60, 60, 30])
    predicted = np.where(np.arange(150) % 10 == 0, (truth + 1) % 2, truth)
    one = ["ann"] * 120 + [f"noise-{number}" for number in range(30)]
    assert metrics.clustered_clips(truth, predicted, one, 3, np.array([0.5, 0.42, 0.08])) == 1


@pytest.mark.parametrize("count", [2, 3, 4, 8])
def test_a_few_speakers_are_told_to_be_few(count):
    """With clips of silence, each of which stands for itself."""
    rng, shares, found = np.random.default_rng(count), np.array([0.46, 0.46, 0.08]), 0
    for _ in range(300):
        truth = np.r_[np.tile(np.repeat([0, 1], 20), count), np.full(34, 2)]
        speakers = np.r_[np.repeat(np.arange(count), 40), 1000 + np.arange(34)]
        ability = np.r_[rng.beta(6, 1.5, count).repeat(40), np.full(34, 0.8)]  # 0.8 in the mean
        predicted = np.where(rng.random(len(truth)) < ability, truth, (truth + 1) % 3)
        figures = metrics.judge(truth, predicted, speakers.astype(str), ["a", "b", "silence"], shares)
        found += figures["prior_accuracy_low"] <= 0.8 <= figures["prior_accuracy_high"]
    assert found / 300 >= 0.9


def test_intervals_hold_the_truth_as_often_as_they_say_though_speakers_differ():
    rng = np.random.default_rng(0)
    shares = np.array([0.5, 0.3, 0.2])
    by_speaker, plain = 0, 0
    for _ in range(400):
        speakers = np.repeat(np.arange(60), 8)
        ability = rng.beta(3, 1, 60)[speakers]  # 0.75 in the mean
        truth = rng.integers(0, 3, len(speakers))
        predicted = np.where(rng.random(len(speakers)) < ability, truth, (truth + 1) % 3)
        names = ["a", "b", "c"]
        figures = metrics.judge(truth, predicted, speakers.astype(str), names, shares)
        by_speaker += figures["prior_accuracy_low"] <= 0.75 <= figures["prior_accuracy_high"]
        figures = metrics.describe(metrics.confusion(truth, predicted, 3), names, shares)
        plain += figures["prior_accuracy_low"] <= 0.75 <= figures["prior_accuracy_high"]
    assert 0.92 <= by_speaker / 400 <= 0.98
    assert plain / 400 < 0.91


def test_clips_of_unknown_truth_are_not_judged():
    truth, predicted = np.array([0, 1, -1, -1]), np.array([0, 1, 1, 0])
    assert metrics.confusion(truth, predicted, 2).tolist() == [[1, 0], [0, 1]]
    figures = metrics.judge(truth, predicted, ["a", "b", "c", "d"], ["yes", "no"])
    assert (figures["prior_accuracy"], figures["clips"]) == (1.0, 2)


LABELS = ["yes", "unknown", "silence"]


def test_figures_of_a_small_matrix():
    truth = ["yes"] * 4 + ["unknown"] * 16
    predicted = ["yes"] * 3 + ["unknown"] + ["unknown"] * 8 + ["yes"] * 8
    counts = metrics.count(truth, predicted, LABELS)
    assert counts.tolist() == [[3, 1, 0], [8, 8, 0], [0, 0, 0]]
    figures = metrics.describe(counts, LABELS, np.array([0.5, 0.5, 0.0]))
    assert figures["prior_accuracy"] == 0.625  # the mean of recalls 0.75 and 0.5
    assert figures["accuracy"] == 0.55
    # 1 / (0.25 / 4 + 0.25 / 16) = 12.8 clips count
    assert (figures["prior_accuracy_low"], figures["prior_accuracy_high"]) == pytest.approx(
        (0.36176, 0.83053), abs=1e-5
    )
    assert figures["macro_f1"] == pytest.approx((6 / 15 + 16 / 25) / 2, abs=1e-5)
    assert figures["recalls"] == {"yes": 0.75, "unknown": 0.5, "silence": None}
    assert (figures["unknown_recall"], figures["silence_recall"], figures["clips"]) == (0.5, None, 20)


def test_a_strange_label_is_an_error():
    with pytest.raises(KeyError):
        metrics.count(["yes"], ["no"], LABELS)
