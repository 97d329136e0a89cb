import torch
from torch import nn

from pipeline.features.autoencoder import Autoencoder


def test_three_layers_down_to_the_bottleneck_and_three_up() -> None:
    net = Autoencoder(length=80, bottleneck=8, width=32, dropout=0.5)
    shapes = [(layer.in_features, layer.out_features) for layer in net.modules() if isinstance(layer, nn.Linear)]
    assert shapes == [(80, 32), (32, 32), (32, 8), (8, 32), (32, 32), (32, 80)]
    assert [layer.p for layer in net.modules() if isinstance(layer, nn.Dropout)] == [0.5] * 4
    vectors = torch.randn(2, 5, 80)
    assert net.encoder(vectors).shape == (2, 5, 8)
    assert net(vectors).shape == vectors.shape
