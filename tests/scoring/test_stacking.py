import numpy as np
import pytest
from scipy.optimize import approx_fprime

from pipeline.scoring import stacking


def drawn(weights, bias, clips=3000, seed=0):
    """Runs whose log probabilities, so weighted, are those that the truth is drawn from."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (len(weights), clips, len(bias)))
    values = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    true = np.einsum("r,rcl->cl", weights, logits) + bias
    shares = np.exp(true) / np.exp(true).sum(axis=1, keepdims=True)
    truth = (rng.random((clips, 1)) > shares.cumsum(axis=1)).sum(axis=1)
    return values, truth


def test_it_finds_the_weights_and_biases_that_the_truth_was_drawn_with():
    values, truth = drawn([1.2, 0.3], [0.5, -0.5, 0.0])
    weights, bias = stacking.fit(values, truth, np.full(len(truth), 1 / len(truth)))
    assert weights == pytest.approx([1.2, 0.3], abs=0.12)
    assert bias - bias.mean() == pytest.approx([0.5, -0.5, 0.0], abs=0.15)


def test_of_few_clips_it_stays_near_the_mean():
    values, truth = drawn([2.0, 0.0], [1.0, -1.0, 0.0], clips=12)
    weights, bias = stacking.fit(values, truth, np.full(12, 1 / 12))
    assert weights == pytest.approx([0.5, 0.5], abs=0.3)
    assert np.abs(bias).max() < 0.3


def test_no_run_is_turned_against_itself():
    values, truth = drawn([1.0, -0.8], [0.0, 0.0, 0.0])
    assert stacking.fit(values, truth, np.full(len(truth), 1 / len(truth)))[0].min() == 0


def test_a_run_that_is_sure_and_wrong_leaves_all_finite():
    values, truth = drawn([1.0, 1.0], [0.0, 0.0, 0.0], clips=60)
    values[0] = np.eye(3)[(truth + 1) % 3]
    weights, bias = stacking.fit(values, truth, np.full(60, 1 / 60))
    assert np.isfinite([*weights, *bias]).all()
    assert weights[0] < 0.01


def test_the_prior_moves_the_biases():
    values, truth = drawn([1.0], [0.0, 0.0, 0.0])
    counts = np.bincount(truth)
    often = (np.array([0.8, 0.1, 0.1]) / counts)[truth]
    bias = stacking.fit(values, truth, often / often.sum())[1]
    assert bias[0] > bias[1] + 0.5
    assert bias[0] > bias[2] + 0.5


def test_the_gradient_is_that_of_the_loss(monkeypatch):
    values, truth = drawn([1.2, 0.3], [0.5, -0.5, 0.0], clips=50)
    seen = {}
    monkeypatch.setattr(
        "scipy.optimize.minimize", lambda loss, start, **_: seen.update(loss=loss, start=start) or Found
    )
    stacking.fit(values, truth, np.full(50, 1 / 50))
    at = seen["start"] + 0.1
    assert seen["loss"](at)[1] == pytest.approx(approx_fprime(at, lambda p: seen["loss"](p)[0], 1e-7), abs=1e-5)


class Found:
    x = np.zeros(5)
