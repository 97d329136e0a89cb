"""The shares of labels among clips whose labels nobody tells."""

import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.scoring import prior
from pipeline.scoring.probabilities import Probabilities

LABELS = ["yes", "no", "unknown", "silence"]
SHARES = np.array([0.1, 0.15, 0.6, 0.15])


def heard(shares, clips, seed, sharper=1.0, trained=(0.4, 0.3, 0.2, 0.1), mistaken=0.0):
    """What a net says of clips of which each label has its share; truth and speakers.

    The net learnt from labels as frequent as `trained`, and is `sharper` times too sure. Of the share `mistaken` of
    unknown it hears a "yes".
    """
    rng = np.random.default_rng(seed)
    truth = rng.choice(4, clips, p=shares)
    sounds = np.where((truth == 2) & (rng.random(clips) < mistaken), 0, truth)
    evidence = rng.normal(0, 1, (clips, 4))
    evidence[np.arange(clips), sounds] += 2.0
    logits = (2.0 * evidence + np.log(trained)) * sharper
    values = np.exp(logits - logits.max(axis=1, keepdims=True))
    names = [f"{seed}-{clip}" for clip in range(clips)]
    table = Probabilities(names, LABELS, values / values.sum(axis=1, keepdims=True))
    return table, truth, [str(clip // 5) for clip in range(clips)]


@pytest.mark.parametrize("sharper", [0.5, 1.0, 3.0])
def test_the_shares_are_found_whatever_the_net_learnt_from_and_however_sure_it_is(sharper):
    judged, truth, speakers = heard(np.full(4, 0.25), 2000, 0, sharper)
    test = heard(SHARES, 4000, 1, sharper)[0]
    found = prior.estimate(judged, truth, speakers, [test], resamples=0)
    assert found.shares == pytest.approx(SHARES, abs=0.03)
    assert found.by_confusion == pytest.approx(SHARES, abs=0.03)
    assert found.shares.sum() == pytest.approx(1)
    assert (found.low == found.shares).all()


def test_the_interval_covers_and_nothing_is_noted_of_clips_that_sound_alike():
    covered = []
    for seed in range(4):
        judged, truth, speakers = heard(np.full(4, 0.25), 600, 10 + seed)
        found = prior.estimate(judged, truth, speakers, [heard(SHARES, 800, 20 + seed)[0]], resamples=40)
        covered += ((found.low <= SHARES) & (found.high >= SHARES)).tolist()
        assert found.note == ""
    assert np.mean(covered) >= 0.8
    assert (found.high - found.low).max() < 0.15
    assert found.report().startswith("Estimated shares of the test set (95 %): yes 0.")


@pytest.mark.parametrize("owners", [1, 2, 3])
def test_the_interval_covers_where_few_speakers_judge(owners):
    """Each has a way of speaking, which the few who judge need not share with those of the test."""

    def spoken(truth, speaker, seed):
        rng = np.random.default_rng(seed)
        evidence = rng.normal(0, 1, (len(truth), 4))
        evidence[np.arange(len(truth)), truth] += 2.5
        logits = 2.5 * evidence + rng.normal(0, 1.5, (speaker.max() + 1, 4))[speaker]
        values = np.exp(logits - logits.max(axis=1, keepdims=True))
        return Probabilities([str(clip) for clip in range(len(truth))], LABELS, values / values.sum(axis=1)[:, None])

    covered, rng = [], np.random.default_rng(owners)
    for seed in range(8):
        truth, speakers = np.tile(np.arange(4), 50), rng.permutation(np.arange(200) % owners)
        test = spoken(rng.choice(4, 400, p=SHARES), rng.integers(0, 80, 400), 100 + seed)
        judged = spoken(truth, speakers, seed)
        found = prior.estimate(judged, truth, list(map(str, speakers)), [test], resamples=30)
        covered += ((found.low <= SHARES) & (found.high >= SHARES)).tolist()
    assert np.mean(covered) >= 0.9


def test_clips_of_unknown_truth_and_labels_without_clips_have_no_part():
    judged, truth, speakers = heard(np.array([0.3, 0.3, 0.4, 0.0]), 1000, 0)
    test = heard(np.array([0.2, 0.2, 0.6, 0.0]), 1000, 1)[0]
    found = prior.estimate(judged, np.where(np.arange(1000) < 900, truth, -1), speakers, [test], resamples=0)
    assert found.shares[3] == 0
    assert found.as_prior()["unknown"] == pytest.approx(0.6, abs=0.06)
    assert sum(found.as_prior().values()) == pytest.approx(1, abs=1e-4)
    nobody = test.select(np.arange(0))
    for truths, clips in ((np.full(1000, -1), test), (truth, nobody)):
        with pytest.raises(PipelineError, match=r"decide\.prior: estimated needs .*; there are none"):
            prior.estimate(judged, truths, speakers, [clips])


def test_expectation_maximisation_finds_the_shares_of_certain_clips():
    shares = prior.expectation_maximisation(np.eye(3), np.array([500.0, 300.0, 200.0]))
    assert shares == pytest.approx([0.5, 0.3, 0.2], abs=1e-3)


def test_told_are_shares_by_label():
    judged, truth, speakers = heard(np.full(4, 0.25), 300, 0)
    told = prior.estimate(judged, truth, speakers, [heard(SHARES, 300, 1)[0]], resamples=3).to_dict()
    assert set(told) == {"shares", "low", "high", "by_confusion", "note"}
    assert list(told["low"]) == LABELS


def test_how_often_each_label_was_judged_does_not_matter():
    judged, truth, speakers = heard(np.array([0.1, 0.1, 0.1, 0.7]), 3000, 0)
    found = prior.estimate(judged, truth, speakers, [heard(SHARES, 4000, 1)[0]], resamples=0)
    assert found.shares == pytest.approx(SHARES, abs=0.03)


def test_several_nets_of_one_kind_are_not_taken_for_a_better_one():
    """The mean of five is right more often than the net that calibrates; as one table, unknown comes out too high."""

    def heard_by(nets, shares, clips, seed):
        rng = np.random.default_rng(seed)
        truth = rng.choice(4, clips, p=shares)
        shared = rng.normal(0, 0.8, (clips, 4)) + 1.8 * np.eye(4)[truth]
        names, tables = [f"{seed}-{clip}" for clip in range(clips)], []
        for _ in range(nets):
            values = np.exp(2.0 * (shared + rng.normal(0, 0.8, (clips, 4))))
            tables.append(Probabilities(names, LABELS, values / values.sum(axis=1, keepdims=True)))
        return tables, truth

    apart, as_one, notes = [], [], 0
    for seed in range(8):
        (judged,), truth = heard_by(1, np.full(4, 0.25), 1500, seed)
        tables, _ = heard_by(5, SHARES, 4000, 100 + seed)
        mean = Probabilities(tables[0].clips, LABELS, np.mean([table.values for table in tables], axis=0))
        speakers = [str(clip // 8) for clip in range(1500)]
        found = prior.estimate(judged, truth, speakers, tables, resamples=20)
        apart.append(found.shares[2])
        notes += bool(found.note)
        as_one.append(prior.estimate(judged, truth, speakers, [mean], resamples=0).shares[2])
    assert abs(np.mean(apart) - SHARES[2]) < 0.02
    assert np.mean(as_one) - SHARES[2] > 0.05
    assert notes <= 1
