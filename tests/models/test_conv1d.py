import pytest
import torch
from pydantic import ValidationError
from torch import nn

from pipeline.models import conv1d

LABELS = ["other", "speech"]
PUBLISHED = [nn.Conv1d, nn.ReLU, nn.Conv1d, nn.Dropout, nn.MaxPool1d, nn.Conv1d, nn.Dropout, nn.Linear]


@pytest.mark.parametrize(("kind", "params"), [("embeddings", {"channels": 4}), ("samples", {"frames": 8, "pool": 4})])
def test_it_learns_both_kinds_of_clips(frame_net, kind, params):
    assert frame_net(conv1d).accuracy_on(kind, epochs=4, **params) > 0.8


@pytest.mark.parametrize("active", range(2, 9))
def test_the_first_layers_are_on_and_the_last_maps_to_the_labels(frame_net, embeddings, active):
    net = frame_net(conv1d).build(embeddings(8, 0), LABELS, {}, active_layers=active).model
    kinds = [type(layer) for layer in net.modules() if type(layer) in PUBLISHED]
    assert kinds == [*PUBLISHED[: min(active, 7)], nn.Linear]
    assert net(torch.zeros(3, 10, 128)).shape == (3, 2)


def test_kernels_and_last_channels_are_the_published_ones(frame_net, embeddings):
    net = frame_net(conv1d).build(embeddings(8, 0), LABELS, {}, channels=6).model
    convolutions = [layer for layer in net.modules() if isinstance(layer, nn.Conv1d)]
    assert [(each.kernel_size, each.in_channels, each.out_channels) for each in convolutions] == [
        ((3,), 1, 6),
        ((3,), 6, 6),
        ((3,), 6, 128),
    ]
    # (1280 - 2 - 2) / 2 - 2 places of 128 channels
    assert net.last.in_features == 636 * 128


@pytest.mark.parametrize("bad", [{"active_layers": 1}, {"active_layers": 9}, {"pool": 0}, {"dropout": 1}], ids=str)
def test_bad_parameters_are_refused(bad):
    with pytest.raises(ValidationError):
        conv1d.Params(**bad)
