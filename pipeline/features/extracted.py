"""The features of a checkpoint's own extractor, for those that compute more than a normalised waveform."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import ASTFeatureExtractor, WhisperFeatureExtractor

from pipeline.clips.waveform import CLIP_SAMPLES
from pipeline.features.log_mel import frames_of


class Extracted(nn.Module):
    """What a feature extractor of transformers makes of clips: the numbers that the checkpoint was trained on.

    float32 waveforms in -1..1, [clips, samples] -> float32 [clips, *shape], as the extractor gives them. It computes on
    the processor, clip by clip, whatever the device of the waveforms.
    """

    def __init__(self, extractor: Any) -> None:  # a SequenceFeatureExtractor, whose annotations lead nowhere
        super().__init__()
        self.extractor = extractor
        # The dimension of time: Whisper's frames are columns, all others' are rows.
        self.time = 2 if isinstance(extractor, WhisperFeatureExtractor) else 1
        # How many of the frames hold a clip's sound: Whisper pads to 30 seconds, AST to 1024 frames, others not at all.
        self.sounding: int | None = None
        if self.time == 2:
            self.sounding = CLIP_SAMPLES // extractor.hop_length
        elif isinstance(extractor, ASTFeatureExtractor):
            self.sounding = min(extractor.max_length, frames_of(CLIP_SAMPLES))

    def forward(self, waveforms: Tensor) -> Tensor:
        clips = list(waveforms.float().cpu().numpy())
        features = self.extractor(clips, sampling_rate=self.extractor.sampling_rate, return_tensors="np")
        return torch.from_numpy(features[self.extractor.model_input_names[0]]).float().to(waveforms.device)
