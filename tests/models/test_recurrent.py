"""Recurrent nets: pooling exact on small numbers, and what goes through them in which shape."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pipeline.models._recurrent import Pool, RecurrentNet, RecurrentParams

STATES = torch.tensor([[[1.0, 4.0], [3.0, 0.0], [2.0, 2.0]]])  # [1, 3 frames, width 2]


def test_pooling_takes_the_last_frame_or_mean_and_maximum() -> None:
    assert Pool("last", 2)(STATES).tolist() == [[2, 2]]
    assert Pool("mean_max", 2)(STATES).tolist() == [[2, 2, 3, 4]]


@pytest.mark.parametrize("layers", [1, 2])
def test_the_last_state_of_each_direction_has_read_the_whole_clip(layers) -> None:
    params = RecurrentParams(num_mel_bins=8, channels=[], hidden=5, layers=layers, pooling="last", dropout=0)
    net = RecurrentNet("gru", params, labels=3)
    features = torch.randn(2, 7, 8)
    states, last = net.recurrent(features)  # torch's own final states: [layers x directions, clips, 5]
    assert torch.equal(net.pool(states), torch.cat([last[-2], last[-1]], dim=-1))
    assert Pool("last", 2, bidirectional=True)(STATES).tolist() == [[2, 4]]


def test_attention_is_a_mean_weighted_by_the_softmax_of_the_frames_scores() -> None:
    pool = Pool("attention", 2)
    with torch.no_grad():
        for layer in (pool.scores[0], pool.scores[2]):
            layer.weight.zero_()
            layer.bias.zero_()
        assert torch.allclose(pool(STATES), STATES.mean(dim=1))  # equal scores
        pool.scores[0].weight.copy_(torch.tensor([[0.0, 1.0]]))
        pool.scores[2].weight.fill_(2.0)
    scores = np.exp(2 * np.tanh([4.0, 0.0, 2.0]))
    expected = (scores / scores.sum()) @ STATES[0].numpy()
    assert pool(STATES)[0].tolist() == pytest.approx(expected.tolist(), rel=1e-5)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_net_without_convolutions_is_torch_s_own_and_a_linear_layer(cell) -> None:
    params = RecurrentParams(
        num_mel_bins=8, channels=[], hidden=5, layers=1, bidirectional=False, pooling="last", read_norm=False, dropout=0
    )
    net = RecurrentNet(cell, params, labels=3)
    reference = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell](8, 5, batch_first=True)
    reference.load_state_dict(net.recurrent.state_dict())
    features = torch.randn(2, 7, 8)
    states, _ = reference(features)
    assert torch.allclose(net(features), states[:, -1] @ net.head.weight.T + net.head.bias, atol=1e-6)


@pytest.mark.parametrize("pooling", ["last", "mean_max", "attention"])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_any_number_of_frames_gives_one_row_of_logits_a_clip(pooling, bidirectional) -> None:
    params = RecurrentParams(pooling=pooling, bidirectional=bidirectional, channels=[2, 3], hidden=4)
    net = RecurrentNet("gru", params, labels=3).eval()
    for frames in (1, 50, 98):
        assert net(torch.randn(2, frames, 40)).shape == (2, 3)


@pytest.mark.parametrize(
    "bad",
    [{"spectrogram": "power"}, {"pooling": "sum"}, {"dropout": 1.0}, {"hidden": 0}, {"layers": 0}, {"channels": [0]}],
)
def test_bad_parameters_are_refused(bad) -> None:
    with pytest.raises(ValidationError):
        RecurrentParams(**bad)


@pytest.mark.parametrize("pooling", ["last", "mean_max"])
def test_what_was_pooled_is_normalised_over_the_batch(pooling) -> None:
    params = RecurrentParams(num_mel_bins=8, channels=[], hidden=5, pooling=pooling, dropout=0)
    net = RecurrentNet("gru", params, labels=3)
    states = torch.randn(4, 7, 10)
    assert torch.allclose(net.read(states), net.head(net.read_norm(net.pool(states))))
    assert not torch.allclose(net.read(states), net.head(net.pool(states)))


def test_half_of_the_batches_of_a_streaming_net_begin_in_the_middle_of_other_sound(monkeypatch) -> None:
    params = RecurrentParams(
        num_mel_bins=8,
        channels=[2],
        hidden=5,
        layers=1,
        bidirectional=False,
        streaming=True,
        read_norm=False,
        dropout=0,
    )
    net, features = RecurrentNet("gru", params, labels=3), torch.randn(3, 98, 8)
    for norm in net.modules():  # as after training: of a batch alone, what lies before it would change its norm
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.train = lambda mode=True, norm=norm: norm
            norm.training = False

    def read(sound: torch.Tensor) -> torch.Tensor:
        """The logits of the last 49 states: those of 98 frames."""
        return net.read(net.recurrent(net.convolutions(sound[:, None]).transpose(1, 2).flatten(2))[0][:, -49:])

    alone, amid = read(features), read(torch.cat([features[[2, 0, 1]][:, -48:], features], dim=1))
    assert not torch.allclose(alone, amid, atol=1e-4)
    drawn = iter([0.49, 0.51])
    monkeypatch.setattr(torch, "rand", lambda *_: torch.tensor(next(drawn)))
    assert torch.allclose(net.train()(features), amid, atol=1e-6)
    assert torch.allclose(net(features), alone, atol=1e-6)
    monkeypatch.setattr(torch, "rand", lambda *_: torch.tensor(0.0))
    assert torch.allclose(net.eval()(features), alone, atol=1e-6)
