"""Mel spectrograms of the amplitude, neither squared nor in decibels: what the published recurrent nets were given."""

import torch
from torch import Tensor, nn
from transformers.audio_utils import window_function

from pipeline.clips.waveform import SAMPLE_RATE_HZ
from pipeline.features.framing import framed
from pipeline.features.mel_filters import mel_filters

FRAME_SAMPLES = 2048  # 128 ms; this and the hop are librosa's defaults, and so are the filters
HOP_SAMPLES = 512  # 32 ms


class MelAmplitude(nn.Module):
    """|STFT| through Slaney's mel filters: the numbers of `librosa.feature.melspectrogram(power=1)`.

    float32 waveforms in -1..1, [clips, samples] -> float32 [clips, 1 + samples // HOP_SAMPLES, num_mel_bins].
    Nothing is normalised: loud clips give large numbers and most numbers are next to 0.
    """

    filters: Tensor
    window: Tensor

    def __init__(self, *, num_mel_bins: int = 128) -> None:
        super().__init__()
        filters = mel_filters(FRAME_SAMPLES, num_mel_bins, SAMPLE_RATE_HZ)
        self.register_buffer("filters", filters, persistent=False)  # [bins, mels]
        window = torch.from_numpy(window_function(FRAME_SAMPLES, "hann")).float()
        self.register_buffer("window", window, persistent=False)

    def forward(self, waveforms: Tensor) -> Tensor:
        padded = nn.functional.pad(waveforms.float(), (FRAME_SAMPLES // 2, FRAME_SAMPLES // 2))
        frames = framed(padded, FRAME_SAMPLES, HOP_SAMPLES)  # [clips, frames, FRAME_SAMPLES]
        return torch.fft.rfft(frames * self.window).abs() @ self.filters
