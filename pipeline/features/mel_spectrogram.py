"""Mel spectrograms of 96 bands by 100 frames a second, the front end of the bag of codes (Verma 2021)."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.clips.waveform import FULL_SCALE, SAMPLE_RATE_HZ
from pipeline.features.framing import framed
from pipeline.features.mel_filters import mel_filters

BANDS = 96  # up to 8 kHz
FRAME_SAMPLES = 480  # 30 ms
HOP_SAMPLES = 160  # 10 ms
FFT_SAMPLES = 2048  # the lowest bands are 30 Hz apart: a shorter one would leave some of them without a line
# librosa's floor, three nepers under the rounding noise of 16 bits: digital silence is low, but no outlier.
POWER_FLOOR = 1e-10


class MelSpectrogram(nn.Module):
    """float32 waveforms in -1..1, [clips, samples] -> float32 [clips, 96, samples / 160], normalised.

    The logarithm is taken: the autoencoders that follow are judged by squared error, which without it would see the few
    loudest vowels and nothing else. Bands are librosa's default (Slaney's), the window is a periodic Hann. Zeros before
    and after make it 100 frames a second, each centred on its hop.
    """

    filters: Tensor
    window: Tensor

    def __init__(self, *, mean: float = 0.0, std: float = 1.0) -> None:
        super().__init__()
        if std <= 0:
            raise ValueError(f"std must be above 0, got {std}")
        self.mean = mean
        self.std = std
        filters = mel_filters(FFT_SAMPLES, BANDS, SAMPLE_RATE_HZ)
        self.register_buffer("filters", filters, persistent=False)  # [lines, bands]
        self.register_buffer("window", torch.hann_window(FRAME_SAMPLES), persistent=False)

    def forward(self, waveforms: Tensor) -> Tensor:
        margin = (FRAME_SAMPLES - HOP_SAMPLES) // 2
        frames = framed(nn.functional.pad(waveforms, (margin, margin)), FRAME_SAMPLES, HOP_SAMPLES)
        spectrum = torch.fft.rfft(frames * self.window, n=FFT_SAMPLES)  # [clips, frames, lines]
        power = spectrum.real.square() + spectrum.imag.square()
        log_mel = (power @ self.filters).clamp(min=POWER_FLOOR).log()
        return ((log_mel - self.mean) / self.std).transpose(1, 2)


def statistics(waveforms: Iterator[np.ndarray]) -> tuple[float, float]:
    """Return mean and standard deviation of the log-mel values of batches of int16 [clips, samples]."""
    plain = MelSpectrogram()
    count, total, squares = 0, 0.0, 0.0
    for batch in waveforms:
        values = plain(torch.from_numpy(batch.astype(np.float32) / FULL_SCALE)).double()
        count += values.numel()
        total += float(values.sum())
        squares += float(values.square().sum())
    mean = total / count
    return mean, max(squares / count - mean**2, 1e-12) ** 0.5
