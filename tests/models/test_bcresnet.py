"""BC-ResNet: the published sizes, what a block passes on, that it learns, and that it comes back as it was saved."""

import pytest
import torch
from pydantic import ValidationError

from pipeline.learners.training import Training
from pipeline.models import bcresnet
from pipeline.models.bcresnet import BCResNet, Block, Params, SubSpectralNorm
from tests.tones import LABELS, TRAIN, assert_learns_and_comes_back

SMALL = {"scale": 1, "time_stride": 2}


# Table 1 of the paper, of 12 labels: 9.2, 17.2 (a width of 2.5 x 1.5 x 8 is rounded), 27.3, 54.2, 188 and 321 thousand.
@pytest.mark.parametrize(("scale", "thousands"), [(1, 9.2), (2, 27.3), (3, 54.2), (6, 188), (8, 321)])
def test_it_has_the_published_sizes(scale, thousands):
    weights = sum(value.numel() for value in BCResNet(Params(scale=scale), 12).parameters())
    assert weights == pytest.approx(1000 * thousands, rel=0.01)


def test_a_block_adds_what_it_finds_along_time_to_every_band():
    block = Block(4, 4, 1, dilation=2, dropout=0).eval()
    heard = torch.rand(2, 4, 10, 7)
    torch.nn.init.zeros_(block.over_bands.weight)
    torch.nn.init.ones_(block.time_norm.bias)  # else silence along time stays silence
    added = block.mixed(torch.nn.functional.silu(torch.ones(2, 4, 7)))
    assert torch.allclose(block(heard), (heard + added.unsqueeze(2)).relu(), atol=1e-6)


def test_a_block_that_widens_halves_the_bands_and_keeps_the_frames():
    assert Block(4, 6, 2, dilation=4, dropout=0)(torch.rand(2, 4, 20, 9)).shape == (2, 6, 10, 9)


def test_each_sub_band_is_normalised_by_itself():
    bands = torch.arange(1.0, 11.0).repeat_interleave(2)[:, None]  # 20 bands, each sub-band of another loudness
    out = SubSpectralNorm(3)(torch.randn(8, 3, 20, 50) * bands)
    deviations = out.unflatten(2, (5, 4)).std(dim=(0, 3, 4))
    assert torch.allclose(deviations, torch.ones(3, 5), atol=0.01)


def test_frames_are_halved_once_where_that_is_asked_for():
    features = torch.rand(2, 98, 40)
    for stride, frames in ((1, 98), (2, 49)):
        net = BCResNet(Params(scale=1, time_stride=stride), 12)
        assert net.blocks(net.stem(features.transpose(1, 2)[:, None])).shape == (2, 20, 5, frames)
        assert net(features).shape == (2, 12)


def test_an_epoch_s_last_batch_may_be_a_single_clip():
    assert torch.isfinite(BCResNet(Params(**SMALL), 3).train()(torch.rand(1, 98, 40))).all()


@pytest.mark.parametrize("wrong", [{"num_mel_bins": 64}, {"num_mel_bins": 0}, {"scale": 0}, {"time_stride": 3}])
def test_parameters_that_make_no_net_are_refused(wrong):
    with pytest.raises(ValidationError):
        Params(**{**SMALL, **wrong})


def test_it_learns_and_comes_back_as_it_was_saved(tmp_path):
    torch.manual_seed(5)
    settings = Training(epochs=6, batch_size=4, learning_rate=0.01, keep="last")
    classifier = bcresnet.build(Params(**SMALL), settings, LABELS, TRAIN, store=None)
    assert_learns_and_comes_back(classifier, bcresnet.restore, tmp_path)
