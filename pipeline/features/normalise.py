"""Zero mean and unit variance for each clip: the front end of models that read the waveform itself."""

import torch
from torch import Tensor, nn


class UnitVariance(nn.Module):
    """The numbers of `transformers.Wav2Vec2FeatureExtractor(do_normalize=True)`, batched on any device.

    float32 [clips, samples] -> float32 [clips, samples]; digital silence stays zero.
    """

    def forward(self, waveforms: Tensor) -> Tensor:
        mean = waveforms.mean(dim=-1, keepdim=True)
        variance = waveforms.var(dim=-1, keepdim=True, unbiased=False)
        return (waveforms - mean) / torch.sqrt(variance + 1e-7)
