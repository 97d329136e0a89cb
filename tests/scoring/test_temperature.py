import numpy as np
import pytest

from pipeline.scoring import temperature
from pipeline.scoring.probabilities import Probabilities

LABELS = ["yes", "unknown", "silence"]
WORDS = ["cat", "dog", "yes", "silence"]


def drawn(labels, sharper, clips=4000):
    """What a net says that is sure `sharper` times too much, and the column of what is true."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (clips, len(labels)))
    honest = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = (rng.random((clips, 1)) > honest.cumsum(axis=1)).sum(axis=1)
    values = honest**sharper / (honest**sharper).sum(axis=1, keepdims=True)
    return Probabilities([str(clip) for clip in range(clips)], labels, values), truth


@pytest.mark.parametrize("sharper", [0.5, 1.0, 2.5])
def test_it_finds_how_much_too_sure_a_net_is(sharper):
    table, truth = drawn(LABELS, sharper)
    found = temperature.fit(table, truth, np.full(len(truth), 1 / len(truth)), ["yes"])
    assert found == pytest.approx(sharper, rel=0.06)


def test_of_words_it_is_judged_by_the_label_that_they_are_summed_into():
    table, words = drawn(WORDS, 2.0)
    truth = np.array([1, 1, 0, 2])[words]  # cat and dog are unknown
    weights = np.full(len(truth), 1 / len(truth))
    assert temperature.fit(table, truth, weights, ["yes"]) == pytest.approx(2.0, rel=0.1)
    assert temperature.fit(table, words, weights, None) == pytest.approx(2.0, rel=0.1)


def test_rows_still_sum_to_one_and_their_order_is_kept():
    table = Probabilities(["a", "b"], LABELS, np.array([[0.7, 0.3, 0.0], [0.2, 0.3, 0.5]]))
    softer = temperature.tempered(table, 2.0)
    assert softer.values.sum(axis=1) == pytest.approx([1, 1])
    assert softer.values[0, 0] / softer.values[0, 1] == pytest.approx((0.7 / 0.3) ** 0.5, rel=1e-3)
    assert (softer.values.argmax(axis=1) == table.values.argmax(axis=1)).all()
    assert temperature.tempered(table, 1.0) is table


def test_clips_count_by_their_weights():
    table, truth = drawn(LABELS, 2.5)
    half = np.arange(len(truth)) < 2000
    table = Probabilities(table.clips, LABELS, np.where(half[:, None], table.values, table.values[:, ::-1]))
    alone = temperature.fit(table.select(half), truth[half], np.full(2000, 1 / 2000), ["yes"])
    assert temperature.fit(table, truth, half / 2000, ["yes"]) == pytest.approx(alone)
