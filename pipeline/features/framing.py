"""Overlapping frames of a waveform, in a form that becomes a small and quick ONNX graph too."""

from math import gcd

import torch
from torch import Tensor


def framed(waveforms: Tensor, frame_samples: int, hop_samples: int) -> Tensor:
    """Return [clips, frames, frame_samples], every `hop_samples` one, of waveforms [clips, samples]; whole ones alone.

    Exported, `unfold` would become a gathering by indices: 300 KB of them for a second, more than a small net weighs.
    So they are put together from slices there; the values are the same.
    """
    if not torch.compiler.is_exporting():
        return waveforms.unfold(-1, frame_samples, hop_samples)
    unit = gcd(frame_samples, hop_samples)
    clips, samples = waveforms.shape
    frames, stride = 1 + (samples - frame_samples) // hop_samples, hop_samples // unit
    parts = waveforms[:, : samples // unit * unit].reshape(clips, -1, unit)
    slices = [parts[:, first : first + (frames - 1) * stride + 1 : stride] for first in range(frame_samples // unit)]
    return torch.cat(slices, dim=-1)
