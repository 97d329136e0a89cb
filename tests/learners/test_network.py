"""A plain network behind the classifier's shape: every loss and optimiser learns, and weights survive the disk."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn

from pipeline.examples.training_data import Examples
from pipeline.files import read_json
from pipeline.learners.network import NetClassifier, NetworkSpec
from pipeline.learners.training import Training
from tests import vectors
from tests.vectors import LABELS


def noisy(clips, seed):
    """Clips that are their label, one-hot, and noise."""
    targets = np.arange(clips) % 3
    features = vectors.FEATURES[targets] + np.random.default_rng(seed).normal(0, 0.3, (clips, 3)).astype(np.float32)
    return Examples(features.__getitem__, np.arange(clips), targets)


def several(clips, seed):
    """Clips with any of the labels at once, which add up, and noise."""
    rng = np.random.default_rng(seed)
    targets = (rng.random((clips, 3)) < 0.5).astype(np.float32)
    features = targets + rng.normal(0, 0.3, (clips, 3)).astype(np.float32)
    return Examples(features.__getitem__, np.arange(clips), targets, exclusive=False)


def data(make=noisy):
    return vectors.data(train=make(48, 1), validation=make(30, 2))


def classifier(multi_label=False, **training):
    torch.manual_seed(5)
    net = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 3))
    settings = Training(**{"epochs": 5, "batch_size": 8, "learning_rate": 0.01, **training})
    return NetClassifier(net, NetworkSpec(LABELS, multi_label, {"hidden": 16}), nn.Identity(), settings)


def accuracy(fitted, examples):
    return np.mean(fitted.predict_proba(examples.read(examples.rows)).argmax(axis=1) == examples.targets)


@pytest.mark.parametrize("loss", ["cross_entropy", "mse", "huber", "binary_cross_entropy"])
def test_it_learns_by_every_loss(loss, tmp_path):
    fitted = classifier(loss=loss, epochs=10)
    fitted.fit(data(), tmp_path / "work", tmp_path / "live")
    assert accuracy(fitted, data().validation) > 0.9
    probabilities = fitted.predict_proba(data().validation.read(np.arange(30)))
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("optimizer", "rate"), [("adam", 0.02), ("adamax", 0.03), ("sgd", 0.5), ("rmsprop", 0.01), ("adagrad", 0.1)]
)
def test_it_learns_by_every_optimiser(optimizer, rate, tmp_path):
    fitted = classifier(optimizer=optimizer, learning_rate=rate, epochs=8)
    fitted.fit(data(), tmp_path / "work", tmp_path / "live")
    assert accuracy(fitted, data().validation) > 0.8


def test_the_optimiser_is_the_one_that_was_asked_for(tmp_path):
    changed = {}
    for optimizer in ("adam", "sgd"):
        before = classifier().model.state_dict()["0.weight"].clone()
        fitted = classifier(optimizer=optimizer, epochs=1, batch_size=48, learning_rate=0.01, warmup_ratio=0)
        fitted.fit(data(), tmp_path / optimizer, tmp_path / f"{optimizer}.live")
        changed[optimizer] = (fitted.model.state_dict()["0.weight"] - before).abs()
    # One step of Adam moves nearly every weight by the learning rate, one of plain descent by its gradient.
    assert changed["adam"].max() == pytest.approx(0.01, rel=0.02)
    assert changed["sgd"].max() < 0.005


def test_several_labels_at_once_are_judged_by_average_precision(tmp_path):
    fitted = classifier(multi_label=True, epochs=20)
    fitted.fit(data(several), tmp_path / "work", tmp_path / "live")
    validation = data(several).validation
    probabilities = fitted.predict_proba(validation.read(validation.rows))
    chance = max(validation.targets.mean(), 1 - validation.targets.mean())
    assert np.mean((probabilities > 0.5) == validation.targets) > chance + 0.15
    assert np.ptp(probabilities.sum(axis=1)) > 0.5  # each for itself
    metrics = read_json(tmp_path / "live" / "metrics.json")
    assert metrics["best_map"] > 0.9
    assert "best_balanced_accuracy" not in metrics


def test_what_is_saved_comes_back(tmp_path):
    fitted = classifier()
    fitted.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"model.safetensors", "network.json"}
    with safe_open(tmp_path / "model.safetensors", "pt") as weights:
        assert weights.metadata() == {"format": "pt"}
    assert NetworkSpec.read(tmp_path) == NetworkSpec(LABELS, False, {"hidden": 16})
    torch.manual_seed(6)
    other = classifier()
    nn.init.zeros_(other.model[0].weight)
    clips = data().validation.read(np.arange(30))
    assert np.array_equal(other.load(tmp_path).predict_proba(clips), fitted.predict_proba(clips))


def test_killed_it_ends_with_the_same_weights(tmp_path):
    class KilledError(Exception):
        pass

    expected = classifier()
    expected.fit(data(), tmp_path / "undisturbed", tmp_path / "live")
    whole, reads = data(), iter(range(100))

    def read(rows):
        if next(reads) == 15:  # in the third epoch of six batches
            raise KilledError
        return whole.train.read(rows)

    with pytest.raises(KilledError):
        classifier().fit(replace(whole, train=replace(whole.train, read=read)), tmp_path / "work", tmp_path / "again")
    again = classifier()
    again.fit(whole, tmp_path / "work", tmp_path / "again")
    for name, tensor in expected.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name])
