import pytest
import torch
from torch import nn

from pipeline.errors import PipelineError
from pipeline.models import conv2d
from pipeline.models._read_norm import ReadNorm

LABELS = ["other", "speech"]
PUBLISHED = [
    *(nn.Conv2d, nn.ReLU, nn.Conv2d, nn.MaxPool2d, nn.Conv2d, nn.Flatten),
    *(ReadNorm, nn.Linear, nn.Dropout, nn.Linear),
]


@pytest.mark.parametrize("kind", ["embeddings", "samples"])
def test_it_learns_both_kinds_of_clips(frame_net, kind):
    # The last batch of an epoch is a single clip, which BatchNorm1d alone would refuse.
    assert frame_net(conv2d).accuracy_on(kind, epochs=8) > 0.8


def test_it_is_the_published_net(frame_net, embeddings):
    net = frame_net(conv2d).build(embeddings(8, 0), LABELS, {}).model
    assert [type(layer) for layer in net.modules() if type(layer) in PUBLISHED] == PUBLISHED
    convolutions = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d)]
    assert {(each.kernel_size, each.out_channels) for each in convolutions} == {((2, 2), 4)}
    assert net.norm.num_features == 4 * 3 * 62


def test_one_clip_in_training_is_normalised_by_the_running_figures(frame_net, embeddings):
    net = frame_net(conv2d).build(embeddings(8, 0), LABELS, {}, dropout=0).model
    clip = torch.full((1, 10, 128), 200.0)
    before = net.norm.running_mean.clone()
    assert torch.equal(net.train()(clip), net.eval()(clip))
    assert torch.equal(net.norm.running_mean, before)


def test_clips_of_too_few_seconds_are_refused(frame_net, embeddings):
    assert frame_net(conv2d).build(embeddings(8, 0, seconds=6), LABELS, {}).model(torch.zeros(2, 6, 128)).shape == (
        2,
        2,
    )
    with pytest.raises(PipelineError, match=r"at least 6 seconds a clip.*have 5"):
        frame_net(conv2d).build(embeddings(8, 0, seconds=5), LABELS, {})
