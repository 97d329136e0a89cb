"""A second of sound as counts of codes, without their order (Verma 2021)."""

import torch
from torch import Tensor, nn

from pipeline.features.autoencoder import Autoencoder
from pipeline.features.mel_spectrogram import MelSpectrogram
from pipeline.features.spectrogram_vectors import FAMILIES, vectors_of

AT_ONCE = 32  # clips; their patches fill 31 MB a layer, whatever the size of a batch


def count_codes(codes: Tensor, size: int) -> Tensor:
    """Count the codes [clips, 143] of each family: float32 [clips, families x size], which sums to 143 a clip."""
    offsets = torch.cat([torch.full((count,), size * place) for place, (count, _) in enumerate(FAMILIES.values())]).to(
        codes.device
    )
    counts = torch.zeros(len(codes), size * len(FAMILIES), device=codes.device)
    return counts.scatter_add_(1, codes.long() + offsets, torch.ones(codes.shape, device=codes.device))


class BagOfCodes(nn.Module):
    """float32 waveforms in -1..1, [clips, 16000] -> float32 [clips, 4 x size], how often each code occurs.

    Each vector goes through its family's autoencoder, whose bottleneck is `shrink` times shorter; its code is the
    nearest of `size` centres there. Autoencoders and centres are learnt elsewhere (pipeline.models._code_classifier).
    """

    def __init__(self, *, size: int, shrink: int, width: int, dropout: float, mean: float, std: float) -> None:
        super().__init__()
        self.size = size
        self.spectrogram = MelSpectrogram(mean=mean, std=std)
        self.autoencoders = nn.ModuleDict(
            {name: Autoencoder(length, length // shrink, width, dropout) for name, (_, length) in FAMILIES.items()}
        )
        for name, (_, length) in FAMILIES.items():
            self.register_buffer(f"centres_{name}", torch.zeros(size, length // shrink))

    def centres(self, family: str) -> Tensor:
        """Return the codebook of a family, [size, bottleneck]."""
        return self.get_buffer(f"centres_{family}")

    def bottlenecks(self, family: str, vectors: Tensor) -> Tensor:
        """Return [..., bottleneck] of vectors [..., length]."""
        encoded: Tensor = self.autoencoders[family].encoder(vectors)  # type: ignore[union-attr, operator]
        return encoded

    def codes(self, waveforms: Tensor) -> Tensor:
        """Return int64 [clips, 143], family after family."""
        found = []
        for some in waveforms.split(AT_ONCE):
            families = vectors_of(self.spectrogram(some))
            nearest = [
                torch.cdist(self.bottlenecks(name, vectors), self.centres(name)).argmin(dim=-1)
                for name, vectors in families.items()
            ]
            found.append(torch.cat(nearest, dim=1))
        return torch.cat(found)

    def forward(self, waveforms: Tensor) -> Tensor:
        return count_codes(self.codes(waveforms), self.size)
