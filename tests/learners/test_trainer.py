"""What a network is given at each step, and how the Trainer is told to give it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from transformers import TrainingArguments

from pipeline.errors import PipelineError
from pipeline.examples.training_data import as_float
from pipeline.features.log_mel import LogMel
from pipeline.features.spec_augment import SpecAugment, SpecAugmentParams
from pipeline.learners import epochs
from pipeline.learners.losses import Loss
from pipeline.learners.network import NetClassifier, NetworkSpec
from pipeline.learners.resuming import checkpoints_in
from pipeline.learners.trainer import ClassifierTrainer, arguments_of
from pipeline.learners.training import Training
from tests import tones, vectors


@pytest.fixture
def seen(monkeypatch):
    """What the model is given while fitting: (training?, inputs) for each batch."""
    batches = []
    whole = ClassifierTrainer.compute_loss

    def noting(self, model, inputs, *args, **kwargs):
        batches.append((model.training, inputs))
        return whole(self, model, inputs, *args, **kwargs)

    monkeypatch.setattr(ClassifierTrainer, "compute_loss", noting)
    return batches


def fitted(folder, data=None, **options):
    classifier = vectors.classifier(**options)
    classifier.fit(data or vectors.data(), folder / "work", folder / "live")
    return classifier


def test_mixup_mixes_sound_and_label_by_the_same_share(tmp_path, seen):
    fitted(tmp_path, epochs=1, mixup_alpha=0.5)
    assert [training for training, _ in seen] == [True, True, True, False]
    for training, inputs in seen:
        assert torch.allclose(inputs["input_values"], inputs["targets"], atol=1e-6)  # clips are their own labels
        mixed = (inputs["targets"] > 0).sum(dim=1) == 2
        assert mixed.any().item() is training
        assert torch.allclose(inputs["targets"].sum(dim=1), torch.ones(len(mixed)))
    shares = [inputs["targets"][(inputs["targets"] > 0).sum(dim=1) == 2].max() for training, inputs in seen if training]
    assert len({round(float(share), 4) for share in shares}) == 3


def test_spec_augment_masks_while_training_only(tmp_path, seen):
    front_end = LogMel(num_mel_bins=16, max_length=98, mean=-8, std=4)
    net = nn.Sequential(nn.Flatten(), nn.Linear(98 * 16, 3))
    spec, settings = NetworkSpec(tones.LABELS, False, {}), Training(epochs=2, batch_size=16)
    classifier = NetClassifier(net, spec, front_end, settings, SpecAugment(SpecAugmentParams()))
    classifier.fit(tones.DATA, tmp_path / "work", tmp_path / "live")
    everything, validation = (
        front_end(torch.from_numpy(as_float(part.read(part.rows)))) for part in (tones.TRAIN, tones.VALIDATION)
    )
    masks = []
    for training, inputs in seen:
        features = inputs["input_values"]
        if training:
            for clip in features:
                distances = [(clip != whole).sum() for whole in everything]
                touched = clip != everything[int(np.argmin(distances))]
                assert (clip[touched] == 0).all()
                masks.append(int(touched.sum()))
        else:
            assert torch.equal(features, validation)
    assert len(set(masks)) > 48


class Halving(nn.Module):
    """A feature augmentation that asks for targets as distributions."""

    def forward(self, features, targets):
        return features * (1 - targets.max(dim=1, keepdim=True).values / 2)


@pytest.mark.parametrize("loss", Loss.__args__)
def test_labels_given_as_distributions_that_are_certain_teach_the_same_to_the_last_bit(loss, tmp_path):
    options = {"loss": loss, "mixup_alpha": 0.5, "label_smoothing": 0.1, "feature_augment": Halving()}
    data = vectors.data()
    certain = replace(data.train, targets=np.eye(3, dtype=np.float32)[data.train.targets])
    one = fitted(tmp_path / "one", data, **options)
    other = fitted(tmp_path / "other", replace(data, train=certain), **options)
    assert torch.equal(one.model.weight, other.model.weight)
    assert not torch.equal(one.model.weight, vectors.classifier().model.weight)
    np.testing.assert_array_equal(epochs.read(tmp_path / "one" / "work"), epochs.read(tmp_path / "other" / "work"))


def test_soft_labels_come_to_the_loss_as_they_are_and_are_learnt(tmp_path, seen):
    data = vectors.data()
    told = np.array([[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.0, 0.1, 0.9]], np.float32)
    soft = replace(data, train=replace(data.train, targets=told[data.train.targets]))
    classifier = fitted(tmp_path, soft, epochs=60, optimizer="adam", schedule="constant_with_warmup")
    for training, inputs in seen:
        expected = torch.from_numpy(told)[inputs["input_values"].argmax(dim=1)] if training else inputs["input_values"]
        assert torch.equal(inputs["targets"], expected)
    # Cross-entropy is least where the network says what it was told. The first epoch that is right throughout is kept.
    last = epochs.read(tmp_path / "work")[-1]
    assert last[:3] == pytest.approx(told, abs=0.05)
    assert (classifier.predict_proba(vectors.FEATURES[:3]).argmax(axis=1) == [0, 1, 2]).all()


def test_a_batch_is_shared_by_the_processes(tmp_path, monkeypatch):
    monkeypatch.setattr(TrainingArguments, "world_size", property(lambda _: 3))
    with pytest.raises(PipelineError, match=r"batch of 16 clips cannot be shared evenly by 3 processes.*\n.*of 3"):
        fitted(tmp_path, batch_size=16)
    assert arguments_of(Training(batch_size=24), tmp_path, seed=0).per_device_train_batch_size == 8


def test_one_process_uses_one_of_several_gpus(tmp_path, monkeypatch):
    whole = TrainingArguments._setup_devices

    def two_gpus(self):
        device = whole.__get__(self)
        self._n_gpu = 2
        return device

    monkeypatch.setattr(TrainingArguments, "_setup_devices", property(two_gpus))
    arguments = arguments_of(Training(batch_size=16), tmp_path, seed=0)
    assert (arguments.n_gpu, arguments.train_batch_size, arguments.eval_batch_size) == (1, 16, 128)


def test_momentum_is_the_optimiser_s(tmp_path):
    plain, heavy = (
        fitted(tmp_path / str(momentum), optimizer="sgd", momentum=momentum).model.weight for momentum in (0.0, 0.9)
    )
    assert not torch.equal(plain, heavy)


def nan_in_the_third_epoch(inputs, generators):
    calls.append(len(inputs))
    return as_float(inputs) * np.float32(np.nan if len(calls) > 6 else 1)


calls = []


def test_a_training_that_diverges_says_when_and_keeps_the_best_weights(tmp_path):
    calls.clear()
    expected = fitted(tmp_path / "whole", epochs=2, schedule="constant_with_warmup", warmup_ratio=0)
    broken = vectors.data(augment=nan_in_the_third_epoch)
    with pytest.raises(PipelineError, match=r"(?s)diverged in epoch 3, at a learning rate of 0\.1.*Lower") as error:
        fitted(tmp_path, broken, epochs=5, schedule="constant_with_warmup", warmup_ratio=0)
    kept = checkpoints_in(tmp_path / "work")
    assert [folder.name for folder in kept] == ["checkpoint-3", "checkpoint-6"]
    best = next(folder for folder in kept if str(folder) in str(error.value))
    other = vectors.classifier()
    other.load(best)
    assert torch.equal(other.model.weight, expected.model.weight)
    assert len(epochs.read(tmp_path / "work")) == 2


def test_one_that_diverges_at_once_has_nothing_to_go_back_to(tmp_path):
    calls[:] = range(6)
    with pytest.raises(PipelineError, match=r"(?s)diverged in epoch 1, .*no earlier epoch"):
        fitted(tmp_path, vectors.data(augment=nan_in_the_third_epoch))


@pytest.mark.parametrize("options", [{"mixup_alpha": 0.5, "mix": "features"}, {"cutmix_alpha": 1.0}])
def test_features_are_mixed_while_training_only(options, tmp_path, seen):
    fitted(tmp_path, epochs=4, **options)
    mixed = {True: 0, False: 0}
    for training, inputs in seen:
        mixed[training] += ((inputs["targets"] > 0).sum(dim=1) == 2).sum().item()
        if not training:
            assert torch.equal(inputs["input_values"], inputs["targets"])  # clips are their own labels
    assert mixed[True] > 0 == mixed[False]


def test_a_step_is_as_the_run_says(tmp_path):
    told = arguments_of(Training(max_grad_norm=0.25, schedule="cosine", weight_decay=0.05), tmp_path, seed=0)
    assert (told.max_grad_norm, told.lr_scheduler_type, told.weight_decay) == (0.25, "cosine", 0.05)


@pytest.mark.parametrize(
    ("options", "steps"),
    [({"epochs": 1, "batch_size": 64}, "1 step "), ({"epochs": 1, "warmup_ratio": 0.7}, "3 steps "), ({}, None)],
)
def test_a_training_that_is_over_before_it_has_warmed_up_says_so(options, steps, tmp_path, capsys):
    fitted(tmp_path, **options)
    told = capsys.readouterr().out
    assert (steps is None) is ("learns next to nothing" not in told)
    assert steps is None or f"The training has {steps}in all" in told


def test_the_curve_of_the_learning_rate_is_that_of_the_uppermost_layer(tmp_path):
    net = nn.Sequential(nn.Identity(), nn.Module())
    net[1].forward = lambda values: net[1].layers(values)
    net[1].layers = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 3))
    options = {"layer_decay": 0.5, "schedule": "constant_with_warmup", "warmup_ratio": 0.0, "learning_rate": 0.01}
    vectors.classifier(net, **options).fit(vectors.data(), tmp_path / "work", tmp_path / "live")
    curve = (tmp_path / "live" / "plots" / "metrics" / "train" / "learning_rate.tsv").read_text().splitlines()[1:]
    assert {float(line.split("\t")[1]) for line in curve} == {0.01}  # the lower one has half of it


def test_nothing_is_dropped_out_when_predicting():
    net = nn.Sequential(nn.Linear(3, 64), nn.Dropout(0.5), nn.Linear(64, 3)).train()
    classifier = vectors.classifier(net)
    first, again = (classifier.predict_proba(vectors.FEATURES) for _ in range(2))
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("mix", ["samples", "features"])
def test_with_both_ways_of_mixing_a_batch_is_mixed_one_way_or_the_other(tmp_path, seen, mix):
    fitted(tmp_path, epochs=10, mixup_alpha=0.5, cutmix_alpha=1.0, mix=mix)
    batches = [inputs for training, inputs in seen if training]
    assert all(((inputs["targets"] > 0).sum(dim=1) <= 2).all() for inputs in batches)  # as many clips as labels
    # Features here have one value of "time" after another: where they are whole, they were cut.
    were_cut = [bool((inputs["input_values"] % 1 == 0).all()) for inputs in batches]
    assert 5 < sum(were_cut) < 25
