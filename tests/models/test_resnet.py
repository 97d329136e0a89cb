"""The residual net: its shapes, that it learns, and that it comes back as it was saved."""

import pytest
import torch
from pydantic import ValidationError

from pipeline.learners.training import Training
from pipeline.models import resnet
from pipeline.models.resnet import Block, Params, ResNet
from tests.tones import LABELS, TRAIN, assert_learns_and_comes_back

SMALL = {"num_mel_bins": 16, "stem_channels": 8, "channels": (8, 16), "strides": (1, 2), "dropout": 0.1}


def test_as_it_is_it_has_the_size_that_the_docstring_tells():
    assert sum(value.numel() for value in ResNet(Params(), 31).parameters()) == 711_703


def test_a_block_is_the_identity_and_what_was_learnt_beside_it():
    block = Block(3, 3, 1).eval()
    torch.nn.init.zeros_(block.second.weight)
    heard = torch.rand(2, 3, 5, 4)
    assert torch.allclose(block(heard), heard)
    assert Block(3, 6, 2)(heard).shape == (2, 6, 3, 2)


def test_an_epoch_s_last_batch_may_be_a_single_clip():
    net = ResNet(Params(**SMALL), labels=3).train()
    net(torch.rand(4, 12, 16))
    before = net.read_norm.running_mean.clone()
    assert torch.isfinite(net(torch.rand(1, 12, 16))).all()
    assert torch.equal(net.read_norm.running_mean, before)


def test_the_head_reads_the_mean_and_half_the_maximum():
    net = ResNet(Params(**{**SMALL, "dropout": 0}), labels=16).eval()
    net.blocks = torch.nn.Identity()
    net.stem_norm = torch.nn.Identity()
    net.read_norm = torch.nn.Identity()
    net.head = torch.nn.Identity()
    features = torch.rand(1, 12, 16)
    heard = net.stem(features[:, None]).relu()
    assert torch.allclose(net(features), heard.mean((2, 3)) + heard.amax((2, 3)) / 2, atol=1e-6)


@pytest.mark.parametrize(
    "wrong", [{"channels": [8, 8], "strides": [1]}, {"channels": []}, {"strides": [3, 1]}, {"num_mel_bins": 4}]
)
def test_parameters_that_make_no_net_are_refused(wrong):
    with pytest.raises(ValidationError):
        Params(**{**SMALL, **wrong})


def test_it_learns_and_comes_back_as_it_was_saved(tmp_path):
    torch.manual_seed(5)
    settings = Training(epochs=6, batch_size=16, learning_rate=0.01, mixup_alpha=0.2, mix="features", keep="last")
    classifier = resnet.build(Params(**SMALL), settings, LABELS, TRAIN, store=None)
    assert_learns_and_comes_back(classifier, resnet.restore, tmp_path)
