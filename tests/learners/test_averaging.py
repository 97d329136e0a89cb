"""The average of the weights: what is judged and published, and that a kill changes nothing of it."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.learners import epochs
from pipeline.learners.averaging import EpochSoup, MovingAverage
from pipeline.learners.judging import balanced_accuracy
from pipeline.learners.network import NetClassifier
from pipeline.learners.trainer import ClassifierTrainer
from pipeline.learners.training import Training
from pipeline.models import resnet
from tests.tones import DATA, LABELS, TRAIN, VALIDATION

SMALL = resnet.Params(num_mel_bins=16, stem_channels=4, channels=(4, 8), strides=(1, 2))


def build(**training) -> NetClassifier:
    torch.manual_seed(5)
    settings = Training(**{"epochs": 3, "batch_size": 16, "learning_rate": 0.02, "average_decay": 0.8, **training})
    return resnet.build(SMALL, settings, LABELS, TRAIN, Path())


def weights(classifier: NetClassifier) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in classifier.model.state_dict().items()}


def test_each_step_moves_the_average_by_a_share_of_the_way():
    net = nn.Linear(1, 1)
    average = MovingAverage(net, 0.9)
    with torch.no_grad():
        net.weight.fill_(1.0)
        average.on_step_end(None, None, None)  # the first is taken over whole
        net.weight.fill_(2.0)
        average.on_step_end(None, None, None)
        with average.in_place():
            assert net.weight.item() == pytest.approx(2 - 2 / 11)  # the share rises from 2 / 11 on
        assert net.weight.item() == 2.0
        expected = 2 - 2 / 11
        for step in range(2, 100):
            net.weight.fill_(float(step))
            average.on_step_end(None, None, None)
            share = min(0.9, (1 + step) / (10 + step))
            expected = share * expected + (1 - share) * step
        average.publish()
        assert net.weight.item() == pytest.approx(expected)


def test_a_short_training_keeps_nothing_of_its_first_weights():
    net = nn.Linear(1, 1)
    average = MovingAverage(net, 0.999)
    with torch.no_grad():
        for step in range(150):
            net.weight.fill_(100.0 if step == 0 else 1.0)
            average.on_step_end(None, None, None)
        average.publish()
        assert net.weight.item() == pytest.approx(1.0, abs=1e-3)


def test_a_soup_is_the_plain_mean_of_the_last_epochs():
    net = nn.Linear(1, 1)
    soup = EpochSoup(net, last=2, epochs=4)
    kept = []
    for epoch in range(1, 5):
        with torch.no_grad():
            net.weight.fill_(float(epoch**2))
        soup.on_epoch_end(None, SimpleNamespace(epoch=float(epoch)), None)
        with soup.in_place():
            kept.append(net.weight.item())
    assert kept == [1, 4, 9, (9 + 16) / 2]


@pytest.mark.parametrize(
    "averaged",
    [{"keep": "best"}, {"keep": "last"}, {"keep": "last", "average_decay": 0.0, "soup": 2}],
    ids=["best", "last", "soup"],
)
def test_killed_in_the_last_epoch_it_ends_with_the_same_average(averaged, tmp_path, monkeypatch):
    whole = build(**averaged)
    whole.fit(DATA, tmp_path / "work", tmp_path / "live")

    class KilledError(Exception):
        pass

    def killed(self, *args, **kwargs):
        if self.state.global_step == 2 * len(TRAIN.rows) // 16 + 1:
            raise KilledError
        return step(self, *args, **kwargs)

    step = ClassifierTrainer.training_step
    with monkeypatch.context() as patch:
        patch.setattr(ClassifierTrainer, "training_step", killed)
        with pytest.raises(KilledError):
            build(**averaged).fit(DATA, tmp_path / "torn", tmp_path / "again")
    resumed = build(**averaged)
    resumed.fit(DATA, tmp_path / "torn", tmp_path / "again")
    expected, found = weights(whole), weights(resumed)
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []

    plain = build(**{**averaged, "average_decay": 0.0, "soup": 0})
    plain.fit(DATA, tmp_path / "plain", tmp_path / "plainly")
    assert not torch.equal(weights(plain)["head.weight"], expected["head.weight"])


def test_what_is_judged_is_what_is_kept(tmp_path):
    classifier = build(keep="last")
    classifier.fit(DATA, tmp_path / "work", tmp_path / "live")
    values = classifier.predict_proba(VALIDATION.read(VALIDATION.rows))
    loss = -np.log(values[np.arange(len(values)), VALIDATION.targets]).mean()
    told = (tmp_path / "live" / "plots" / "metrics" / "validation" / "loss.tsv").read_text().split()[-1]
    assert float(told) == pytest.approx(loss, rel=1e-3)
    # Nothing was chosen, so there are no epochs to choose among.
    assert not (tmp_path / "work" / "epochs").exists()


@pytest.mark.parametrize("beside", [{"keep": "best"}, {"keep": "last", "average_decay": 0.9}])
def test_a_soup_is_the_only_average_and_of_the_last_epochs(beside):
    with pytest.raises(ValueError, match="set keep: last and average_decay: 0"):
        Training(**{"soup": 2, **beside})
    with pytest.raises(ValueError, match="soup: 3 epochs of 2 cannot be averaged"):
        Training(soup=3, keep="last", epochs=2)


def test_patience_needs_the_best_epoch():
    with pytest.raises(ValueError, match="keep: best"):
        Training(patience=2, keep="last")


def test_the_average_of_the_best_epoch_is_kept(tmp_path):
    # From the third epoch on, the labels are wrong.
    targets = np.concatenate([TRAIN.targets, (TRAIN.targets + 1) % 3])
    souring = replace(
        DATA,
        train=replace(TRAIN, rows=np.tile(TRAIN.rows, 2), targets=targets),
        epoch_indices=lambda epoch: np.arange(48) + 48 * (epoch >= 2),
    )
    classifier = build(epochs=5, average_decay=0.3, schedule="constant_with_warmup")
    classifier.fit(souring, tmp_path / "work", tmp_path / "live")
    judged = epochs.read(tmp_path / "work")
    best = int(np.argmax([balanced_accuracy(values, VALIDATION.targets) for values in judged]))
    assert best < 3
    assert classifier.predict_proba(VALIDATION.read(VALIDATION.rows)) == pytest.approx(judged[best], abs=1e-3)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [(lambda net: MovingAverage(net, 0.1), 0.1 * 2 + 0.9 * 4), (lambda net: EpochSoup(net, last=2, epochs=2), 3.0)],
)
def test_statistics_are_averaged_as_the_weights_are(kind, expected):
    net = nn.BatchNorm1d(1)
    average = kind(net)
    for epoch, mean in enumerate((2.0, 4.0), start=1):
        net.running_mean.fill_(mean)
        average.on_step_end(None, None, None)
        average.on_epoch_end(None, SimpleNamespace(epoch=float(epoch)), None)
    average.publish()
    assert net.running_mean.item() == pytest.approx(expected)
