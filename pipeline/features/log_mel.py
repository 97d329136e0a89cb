"""Log-mel filter banks: the numbers of `ASTFeatureExtractor`, computed for a whole batch on any device."""

import warnings

import numpy as np
import torch
from torch import Tensor, nn
from transformers.audio_utils import mel_filter_bank, window_function

from pipeline.clips.waveform import CLIP_SAMPLES, FULL_SCALE
from pipeline.features.filtered_power import FilteredPower
from pipeline.features.framing import framed

FRAME_SAMPLES = 400  # 25 ms at 16 kHz, Kaldi's default
HOP_SAMPLES = 160  # 10 ms
FFT_SAMPLES = 512
PREEMPHASIS = 0.97
CACHED_CLIPS = 8
STATISTICS_CLIPS = 2_000  # as many give mean and deviation to three digits
MEL_FLOOR = 1.192092955078125e-07  # float32's epsilon, Kaldi's floor


def frames_of(samples: int) -> int:
    """Return how many whole frames lie in `samples` samples: 98 in one second."""
    return 1 + (samples - FRAME_SAMPLES) // HOP_SAMPLES


class LogMel(nn.Module):
    """Kaldi's log-mel filter bank, padded with zeros to `max_length` frames and normalised.

    float32 waveforms in -1..1, [clips, samples] -> float32 [clips, max_length, num_mel_bins].

    Same steps and numbers as `transformers.ASTFeatureExtractor` without torchaudio: the published checkpoints were
    trained on them. One matrix product could stand for all steps up to the power spectrum, at twice the speed, but in
    single precision it is off by 1e-2 in the quiet bands beside a pure tone.
    """

    filters: Tensor
    window: Tensor

    def __init__(
        self,
        *,
        num_mel_bins: int = 128,
        max_length: int = 128,
        mean: float = -4.2677393,
        std: float = 4.5689974,
        sampling_rate: int = 16_000,
    ) -> None:
        super().__init__()
        if std <= 0:
            raise ValueError(f"std must be above 0, got {std}")
        self.max_length = max_length
        self.sounding = min(max_length, frames_of(CLIP_SAMPLES))  # frames of a clip; those after them are padding
        self.mean = mean
        self.std = std
        with warnings.catch_warnings():
            # Of 128 filters, a few of the lowest hold no line of the spectrum, in the published extractor too.
            warnings.filterwarnings("ignore", "At least one mel filter has all zero values")
            filters = mel_filter_bank(
                num_frequency_bins=FFT_SAMPLES // 2 + 1,
                num_mel_filters=num_mel_bins,
                min_frequency=20,
                max_frequency=sampling_rate // 2,
                sampling_rate=sampling_rate,
                norm=None,
                mel_scale="kaldi",
                triangularize_in_mel_space=True,
            )
        self.register_buffer("filters", torch.from_numpy(filters).float(), persistent=False)  # [bins, mels]
        window = torch.from_numpy(window_function(FRAME_SAMPLES, "hann", periodic=False)).float()
        self.register_buffer("window", window, persistent=False)
        self.exported = FilteredPower(self.filters, FRAME_SAMPLES)

    def forward(self, waveforms: Tensor) -> Tensor:
        if waveforms.device.type != "cpu" or torch.compiler.is_exporting():
            return self._filtered(waveforms)
        # A few at a time stay in the processor's cache: a third faster, the same numbers.
        return torch.cat([self._filtered(some) for some in waveforms.split(CACHED_CLIPS)])

    def _filtered(self, waveforms: Tensor) -> Tensor:
        frames = framed(waveforms.float(), FRAME_SAMPLES, HOP_SAMPLES)  # [clips, frames, FRAME_SAMPLES]
        frames = frames[:, : self.max_length]
        frames = frames - frames.mean(dim=-1, keepdim=True)
        previous = torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)
        log_mel = self._power(frames.sub_(previous.mul_(PREEMPHASIS)).mul_(self.window)).clamp(min=MEL_FLOOR).log()
        if missing := self.max_length - log_mel.shape[1]:
            log_mel = nn.functional.pad(log_mel, (0, 0, 0, missing))
        return (log_mel - self.mean) / (2 * self.std)  # twice the deviation, as AST's authors do

    def _power(self, frames: Tensor) -> Tensor:
        if torch.compiler.is_exporting():
            power: Tensor = self.exported(frames)
            return power
        spectrum = torch.fft.rfft(frames, n=FFT_SAMPLES)
        return (spectrum.real.square() + spectrum.imag.square()) @ self.filters


def enough_for_statistics(rows: np.ndarray) -> np.ndarray:
    """Return at least 2,000 of `rows` [clips], evenly spread over them; all where there are fewer."""
    return rows[:: max(1, len(rows) // STATISTICS_CLIPS)]


def statistics(waveforms: np.ndarray, *, num_mel_bins: int) -> tuple[float, float]:
    """Return mean and standard deviation of the unnormalised log-mel values of int16 `waveforms` [clips, samples]."""
    plain = LogMel(num_mel_bins=num_mel_bins, max_length=frames_of(waveforms.shape[1]), mean=0.0, std=0.5)
    values = plain(torch.from_numpy(waveforms.astype(np.float32) / FULL_SCALE))
    return float(values.mean()), float(values.std())
