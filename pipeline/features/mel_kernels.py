"""Kernels of a convolution over the waveform that make it a mel filter bank."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.clips.waveform import SAMPLE_RATE_HZ
from pipeline.errors import PipelineError


def start_as_mel(kernels: nn.Parameter) -> None:
    """Replace a convolution's weights [channels, 1, samples] by `mel_kernels`."""
    with torch.no_grad():
        kernels.copy_(torch.from_numpy(mel_kernels(kernels.shape[0], kernels.shape[2]))[:, None])


def mel_kernels(channels: int, kernel_samples: int) -> NDArray[np.float32]:
    """Return float32 [channels, kernel_samples]: Gabor filters at mel-spaced frequencies, each in four phases.

    Rectified by the activation and summed by the next layer, the four phases give nearly the band's magnitude. Widths
    follow the mel spacing (as LEAF's filters start: Zeghidour et al. 2021, section 3.1); gains follow pre-emphasis.
    Raises PipelineError unless `channels` is a multiple of 4.
    """
    if channels % 4:
        raise PipelineError(
            f"A mel start needs a first of conv_dim that is a multiple of 4; found {channels}.\n"
            "Change `config` in the run's parameters in params.yaml."
        )
    edges_mel = np.linspace(_mel(60.0), _mel(0.475 * SAMPLE_RATE_HZ), channels // 4 + 2)
    edges_hz = 700 * (np.exp(edges_mel / 1127) - 1)
    centres_hz, widths_hz = edges_hz[1:-1, None], (edges_hz[2:] - edges_hz[:-2])[:, None] / 2
    seconds = (np.arange(kernel_samples) - (kernel_samples - 1) / 2)[None] / SAMPLE_RATE_HZ
    # A Gaussian's full width at half maximum in hertz gives its deviation in seconds.
    envelopes = np.exp(-0.5 * (seconds * widths_hz * 2 * np.pi / 2.355) ** 2)
    cosines = envelopes * np.cos(2 * np.pi * centres_hz * seconds)
    sines = envelopes * np.sin(2 * np.pi * centres_hz * seconds)
    kernels = np.stack([cosines, -cosines, sines, -sines], axis=1)  # [bands, phases, samples]
    kernels /= np.linalg.norm(kernels, axis=-1, keepdims=True)
    emphasis = np.abs(1 - 0.97 * np.exp(-2j * np.pi * centres_hz / SAMPLE_RATE_HZ))
    return (kernels * emphasis[..., None]).reshape(channels, kernel_samples).astype(np.float32)


def _mel(hertz: float) -> float:
    return float(1127 * np.log1p(hertz / 700))
