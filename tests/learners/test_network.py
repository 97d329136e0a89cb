"""A plain network behind the classifier's shape: every loss and optimiser learns, and weights survive the disk."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn

from pipeline.errors import PipelineError
from pipeline.features.log_mel import LogMel
from pipeline.files import read_json
from pipeline.learners.losses import loss_of
from pipeline.learners.network import About, NetClassifier
from pipeline.learners.training import Training
from tests.tones import LABELS, sounds, training_data_of


def data(multi_label=False):
    return training_data_of(sounds(48, 1, multi_label), sounds(30, 2, multi_label))


def classifier(multi_label=False, **training):
    torch.manual_seed(5)
    net = nn.Sequential(nn.Flatten(), nn.Linear(98 * 16, 32), nn.ReLU(), nn.Linear(32, 3))
    settings = Training(**{"epochs": 5, "batch_size": 8, "learning_rate": 0.003, **training})
    front_end = LogMel(num_mel_bins=16, max_length=98, mean=-8, std=4)
    return NetClassifier(net, About(LABELS, multi_label, {"hidden": 32}), front_end, settings)


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
    ("optimizer", "rate"), [("adam", 3e-3), ("adamax", 5e-3), ("sgd", 0.1), ("rmsprop", 1e-3), ("adagrad", 1e-2)]
)
def test_it_learns_by_every_optimiser(optimizer, rate, tmp_path):
    fitted = classifier(optimizer=optimizer, learning_rate=rate, epochs=8)
    fitted.fit(data(), tmp_path / "work", tmp_path / "live")
    assert accuracy(fitted, data().validation) > 0.8


def test_the_optimiser_is_the_one_that_was_asked_for(tmp_path):
    changed = {}
    for optimizer in ("adam", "sgd"):
        before = classifier().model.state_dict()["1.weight"].clone()
        fitted = classifier(optimizer=optimizer, epochs=1, batch_size=48, learning_rate=0.01, warmup_ratio=0)
        fitted.fit(data(), tmp_path / optimizer, tmp_path / f"{optimizer}.live")
        changed[optimizer] = (fitted.model.state_dict()["1.weight"] - before).abs()
    # One step of Adam moves nearly every weight by the learning rate, one of plain descent by its gradient.
    assert changed["adam"].max() == pytest.approx(0.01, rel=0.02)
    assert changed["sgd"].max() < 0.005


def test_several_labels_at_once_are_judged_by_average_precision(tmp_path):
    fitted = classifier(multi_label=True, epochs=20)
    fitted.fit(data(multi_label=True), tmp_path / "work", tmp_path / "live")
    validation = data(multi_label=True).validation
    probabilities = fitted.predict_proba(validation.read(validation.rows))
    chance = max(validation.targets.mean(), 1 - validation.targets.mean())
    assert np.mean((probabilities > 0.5) == validation.targets) > chance + 0.15
    assert np.ptp(probabilities.sum(axis=1)) > 0.5  # each for itself
    metrics = read_json(tmp_path / "live" / "metrics.json")
    assert metrics["best_map"] > 0.9
    assert "best_balanced_accuracy" not in metrics


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_a_loss_for_one_label_is_refused_where_there_are_several(loss):
    with pytest.raises(PipelineError, match=rf"loss {loss} needs exactly one label"):
        classifier(multi_label=True, loss=loss)


def test_what_is_saved_comes_back(tmp_path):
    fitted = classifier()
    fitted.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"model.safetensors", "network.json"}
    with safe_open(tmp_path / "model.safetensors", "pt") as weights:
        assert weights.metadata() == {"format": "pt"}
    assert About.read(tmp_path) == About(LABELS, False, {"hidden": 32})
    torch.manual_seed(6)
    other = classifier()
    nn.init.zeros_(other.model[1].weight)
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


def test_losses_are_those_of_the_books():
    logits, targets = torch.tensor([[2.0, 0.0, -1.0]]), torch.tensor([[1.0, 0.0, 0.0]])
    softmax, sigmoid = torch.softmax(logits, 1), torch.sigmoid(logits)
    assert loss_of("cross_entropy", logits, targets) == pytest.approx(-softmax[0, 0].log().item())
    assert loss_of("mse", logits, targets) == pytest.approx(((softmax - targets) ** 2).mean().item())
    assert loss_of("huber", logits, targets) == pytest.approx((0.5 * (sigmoid - targets) ** 2).mean().item())
    binary = -(sigmoid[0, 0].log() + (1 - sigmoid[0, 1:]).log().sum()) / 3
    assert loss_of("binary_cross_entropy", logits, targets) == pytest.approx(binary.item(), rel=1e-5)
    # Smoothed by 0.3, one of three labels is wanted at 0.8 and the others at 0.1.
    smooth = torch.tensor([[0.8, 0.1, 0.1]])
    assert loss_of("mse", logits, targets, 0.3) == pytest.approx(((softmax - smooth) ** 2).mean().item())
