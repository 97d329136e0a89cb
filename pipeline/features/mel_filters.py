"""Mel filters as librosa has them by default: triangles on Slaney's scale, each of the same area."""

import torch
from torch import Tensor
from transformers.audio_utils import mel_filter_bank


def mel_filters(fft_samples: int, num_mel_bins: int, sampling_rate: int) -> Tensor:
    """Return float32 [fft_samples / 2 + 1, num_mel_bins], from 0 Hz to half of `sampling_rate`."""
    filters = mel_filter_bank(
        num_frequency_bins=fft_samples // 2 + 1,
        num_mel_filters=num_mel_bins,
        min_frequency=0,
        max_frequency=sampling_rate // 2,
        sampling_rate=sampling_rate,
        norm="slaney",
        mel_scale="slaney",
    )
    return torch.from_numpy(filters).float()
