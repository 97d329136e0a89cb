import numpy as np

from pipeline.scoring import greedy


def runs(*rights, clips=600, seed=0):
    """Tables [runs, clips, 3] that are right with these shares, independently, the truth, weights and speakers."""
    rng = np.random.default_rng(seed)
    truth = np.arange(clips) % 3
    tables = []
    for right in rights:
        given = np.where(rng.random(clips) < right, truth, (truth + rng.integers(1, 3, clips)) % 3)
        tables.append(0.1 + 0.7 * np.eye(3)[given])
    return np.array(tables), truth, np.full(clips, 1 / clips), [str(clip // 6) for clip in range(clips)]


def test_a_run_that_guesses_is_hardly_picked():
    values, *others = runs(0.8, 0.8, 0.8, 1 / 3)
    weights = greedy.fit(values, *others)
    assert abs(weights.sum() - 1) < 1e-9
    assert weights[3] < 0.1 < weights[:3].min()


def test_what_shares_its_mistakes_is_not_counted_twice():
    values, truth, *others = runs(0.75, 0.75, 0.75, clips=3000)
    values = np.concatenate([values[:1], values])  # the first run stands there twice
    weights = greedy.fit(values, truth, *others)
    assert weights[0] + weights[1] < 0.5
    assert weights[2:].min() > 0.2


def test_it_is_the_same_each_time_and_bags_hold_a_limited_number_of_clips(monkeypatch):
    values, *others = runs(0.8, 0.7)
    assert np.array_equal(greedy.fit(values, *others), greedy.fit(values, *others))
    sizes = []
    monkeypatch.setattr(greedy, "_select", lambda values, *rest: sizes.append(values.shape[1]) or np.array([1.0, 0.0]))
    monkeypatch.setattr(greedy, "CLIPS", 120)
    greedy.fit(values, *others)
    assert set(sizes) == {120}


def test_the_prior_tells_whose_clips_count():
    values, truth, weights, speakers = runs(0.9, 0.9)
    values[0][truth == 0] = [0.1, 0.8, 0.1]  # the first never finds label 0, which is all that counts
    weights = np.where(truth == 0, weights, 0.0)
    assert greedy.fit(values, truth, weights / weights.sum(), speakers)[1] > 0.9
