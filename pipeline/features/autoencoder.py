"""A plain autoencoder: three layers down to a bottleneck, three layers back up."""

from torch import Tensor, nn


class Autoencoder(nn.Module):
    """Reconstructs vectors [..., length] through `bottleneck` numbers; `encoder` alone gives those."""

    def __init__(self, length: int, bottleneck: int, width: int, dropout: float) -> None:
        super().__init__()
        self.encoder = _three_layers(length, width, bottleneck, dropout)
        self.decoder = _three_layers(bottleneck, width, length, dropout)

    def forward(self, vectors: Tensor) -> Tensor:
        reconstructed: Tensor = self.decoder(self.encoder(vectors))
        return reconstructed


def _three_layers(length: int, width: int, out: int, dropout: float) -> nn.Sequential:
    hidden = [nn.Linear(length, width), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*hidden, nn.Linear(width, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, out))
