"""Frames of 128 values from 0 to 255: AudioSet's embeddings as they are, or log-mel made alike from audio."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from pipeline.clips.waveform import CLIP_SAMPLES
from pipeline.features.embedding_augment import EmbeddingAugmentParams
from pipeline.features.log_mel import LogMel, enough_for_statistics, frames_of, statistics
from pipeline.settings import Settings

BINS = 128
# AudioSet clips its whitened embeddings to -2..2 and spreads that over the 256 values of a byte (Hershey et al., "CNN
# architectures for large-scale audio classification", ICASSP 2017; VGGish's released postprocessor).
REACH = 2.0


class FrameParams(Settings):
    """What all nets over frames share. `frames` is how many to make of a second of audio; embeddings have their own."""

    frames: int = Field(24, ge=8, le=frames_of(CLIP_SAMPLES))
    embedding_augment: EmbeddingAugmentParams = EmbeddingAugmentParams()


class Frames(nn.Module):
    """Floats of `as_float` -> float32 [clips, frames, 128] in 0..255.

    `kind` embeddings: [clips, frames, 128], unchanged. `kind` samples: waveforms [clips, 16000] in -1..1, whose log-mel
    spectrogram is averaged over `frames` stretches of time; `mean` minus two deviations `std` becomes 0, plus two 255,
    and what lies beyond is clipped: the nets and augmentations for embeddings then take it as it is.
    """

    def __init__(
        self, kind: Literal["samples", "embeddings"], frames: int, mean: float = 0.0, std: float = 1.0
    ) -> None:
        super().__init__()
        self.options: dict[str, Any] = {"kind": kind, "frames": frames, "mean": mean, "std": std}
        self.frames = frames
        self.log_mel: LogMel | None = None
        if kind == "samples":
            # LogMel divides by twice its `std`: halved, so that it gives deviations.
            self.log_mel = LogMel(num_mel_bins=BINS, max_length=frames_of(CLIP_SAMPLES), mean=mean, std=std / 2)

    def forward(self, inputs: Tensor) -> Tensor:
        if self.log_mel is None:
            return inputs
        log_mel = self.log_mel(inputs).transpose(1, 2)  # [clips, bins, spectra]
        pooled = nn.functional.adaptive_avg_pool1d(log_mel, self.frames).transpose(1, 2)
        return ((pooled + REACH) * (255 / (2 * REACH))).clamp(0, 255)


def frames_for(read: Callable[[NDArray[np.int64]], NDArray[Any]], rows: NDArray[np.int64], frames: int) -> Frames:
    """Return the front end for the clips that `read(rows)` gives: int16 [rows, 16000] or uint8 [rows, seconds, 128].

    Of audio, `frames` frames are made, whose mean and deviation are those of at least 2,000 of the clips.
    """
    clips = read(enough_for_statistics(rows))
    if clips.dtype == np.uint8:
        return Frames("embeddings", clips.shape[1])
    mean, std = statistics(clips, num_mel_bins=BINS)
    return Frames("samples", frames, round(mean, 4), round(std, 4))


def spread(frames: Tensor) -> Tensor:
    """Return frames of 0..255 as -2..2, what embeddings were before they became bytes: the first step of every net."""
    return frames * (2 * REACH / 255) - REACH
