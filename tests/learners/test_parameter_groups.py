import pytest
import torch
from torch import nn
from transformers import Wav2Vec2Config, Wav2Vec2ForSequenceClassification

from pipeline.errors import PipelineError
from pipeline.learners.parameter_groups import depths_of, parameter_groups


class Stack(nn.Module):
    def __init__(self):
        super().__init__()
        self.mixture = nn.Parameter(torch.ones(3))
        self.kernels = nn.ModuleList([nn.Linear(2, 1), nn.Linear(1, 2)])
        self.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(3)])
        self.head = nn.Linear(4, 2)


def test_each_layer_has_a_smaller_rate_than_the_one_above():
    model = Stack()
    model.kernels[0].requires_grad_(False)
    groups = parameter_groups(model, {"layers.0.weight", "head.weight"}, 0.1, 0.05, 0.5)
    found = {id(parameter): (group["lr"], group["weight_decay"]) for group in groups for parameter in group["params"]}
    rates = {name: found[id(parameter)] for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert len(found) == len(rates)  # each once
    assert rates == {
        **{name: (pytest.approx(0.1 / 16), 0.0) for name in ("kernels.1.weight", "kernels.1.bias")},
        **{"layers.0.weight": (pytest.approx(0.1 / 8), 0.05), "layers.0.bias": (pytest.approx(0.1 / 8), 0.0)},
        **{f"layers.1.{name}": (pytest.approx(0.1 / 4), 0.0) for name in ("weight", "bias")},
        **{f"layers.2.{name}": (pytest.approx(0.1 / 2), 0.0) for name in ("weight", "bias")},
        **{"head.weight": (0.1, 0.05), "head.bias": (0.1, 0.0), "mixture": (0.1, 0.0)},
    }


def test_the_layers_of_a_transformer_are_found(tiny_params):
    config = tiny_params["runs"]["wav2vec2"]["parameters"]["config"]
    values = {**config, "num_hidden_layers": 3, "intermediate_size": 64, "use_weighted_layer_sum": True}
    depths = depths_of(Wav2Vec2ForSequenceClassification(Wav2Vec2Config(**values)))
    for name, depth in depths.items():
        if ".encoder.layers." in name:
            assert depth == 1 + int(name.split(".encoder.layers.")[1][0])
        elif name.startswith(("classifier", "projector", "layer_weights")):
            assert depth == 4
        else:
            assert depth == 0, name


def test_heavy_convolutions_before_a_small_transformer_are_not_its_layers():
    values = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}
    with torch.device("meta"):  # seven convolutions of 512 channels
        depths = depths_of(Wav2Vec2ForSequenceClassification(Wav2Vec2Config(**values)))
    assert depths["wav2vec2.feature_extractor.conv_layers.6.conv.weight"] == 0
    assert [depths[f"wav2vec2.encoder.layers.{layer}.attention.k_proj.weight"] for layer in range(3)] == [1, 2, 3]
    assert depths["classifier.weight"] == 4


def test_layers_may_be_a_sequence_whose_parts_without_weights_are_not_counted():
    net = nn.ModuleDict({"blocks": nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)), "head": nn.Linear(2, 2)})
    assert {name: depth for name, depth in depths_of(net).items() if name.endswith("weight")} == {
        **{"blocks.0.weight": 1, "blocks.2.weight": 2, "head.weight": 3}
    }


@pytest.mark.parametrize(
    "net", [nn.Linear(2, 2), nn.ModuleDict({"branches": nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])})]
)
def test_a_net_without_layers_says_so(net):
    with pytest.raises(PipelineError, match=r" is no stack of layers.*\n.*training\.layer_decay"):
        depths_of(net)
