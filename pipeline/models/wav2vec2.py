"""wav2vec 2.0 (Baevski et al. 2020) with a classification head over the mean of its frames."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import nn
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForSequenceClassification

from pipeline.clips.waveform import CLIP_SAMPLES
from pipeline.examples.training_data import Examples
from pipeline.features.normalise import UnitVariance
from pipeline.learners import checkpoints
from pipeline.learners.neural_classifier import TransformerClassifier
from pipeline.learners.training import Training
from pipeline.settings import Settings

__all__ = ["Params", "Training", "build", "check", "restore"]


class Params(Settings):
    """A published checkpoint, or none for a model from `config` alone; `config` holds keys of Wav2Vec2Config.

    `mel_start` lets the first convolution of a model without a checkpoint start as a mel filter bank: a few thousand
    clips do not teach it one.
    """

    checkpoint: str | None = None
    revision: str | None = None
    freeze_feature_encoder: bool = False
    mel_start: bool = False
    config: dict[str, Any] = Field(default_factory=dict)


def check(params: Params, store: Path) -> None:
    _configure(params, ["yes", "no"], store)


def build(
    params: Params, training: Training, labels: list[str], examples: Examples, store: Path
) -> TransformerClassifier:
    folder, config = _configure(params, labels, store)
    if folder is not None:
        model, extractor = checkpoints.load(Wav2Vec2ForSequenceClassification, folder, config)
    else:
        model = Wav2Vec2ForSequenceClassification(config)
        if params.mel_start:
            first = model.get_parameter(
                "wav2vec2.feature_extractor.conv_layers.0.conv.weight"
            )  # [channels, 1, samples]
            first.data = torch.from_numpy(mel_kernels(first.shape[0], first.shape[2]))[:, None]
        extractor = Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=False)
    if params.freeze_feature_encoder:
        model.freeze_feature_encoder()
    return TransformerClassifier(model, _front_end(extractor), extractor, training, multi_label=examples.multi_label)


def restore(folder: Path, training: Training) -> TransformerClassifier:
    model = Wav2Vec2ForSequenceClassification.from_pretrained(folder, use_safetensors=True)
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(folder)
    return TransformerClassifier(model, _front_end(extractor), extractor, training)


def mel_kernels(channels: int, kernel_samples: int, sample_rate_hz: int = 16_000) -> NDArray[np.float32]:
    """Return float32 [channels, kernel_samples]: Gabor filters at mel-spaced frequencies, each in four phases.

    Rectified by the activation and summed by the next layer, the four phases give nearly the band's magnitude. Widths
    follow the mel spacing (as LEAF's filters start: Zeghidour et al. 2021, section 3.1); gains follow pre-emphasis.
    Raises ValueError unless `channels` is a multiple of 4.
    """
    if channels % 4:
        raise ValueError(f"the first of conv_dim must be a multiple of 4 for a mel start, got {channels}")
    edges_mel = np.linspace(_mel(60.0), _mel(0.475 * sample_rate_hz), channels // 4 + 2)
    edges_hz = 700 * (np.exp(edges_mel / 1127) - 1)
    centres_hz, widths_hz = edges_hz[1:-1, None], (edges_hz[2:] - edges_hz[:-2])[:, None] / 2
    seconds = (np.arange(kernel_samples) - (kernel_samples - 1) / 2)[None] / sample_rate_hz
    # A Gaussian's full width at half maximum in hertz gives its deviation in seconds.
    envelopes = np.exp(-0.5 * (seconds * widths_hz * 2 * np.pi / 2.355) ** 2)
    cosines = envelopes * np.cos(2 * np.pi * centres_hz * seconds)
    sines = envelopes * np.sin(2 * np.pi * centres_hz * seconds)
    kernels = np.stack([cosines, -cosines, sines, -sines], axis=1)  # [bands, phases, samples]
    kernels /= np.linalg.norm(kernels, axis=-1, keepdims=True)
    emphasis = np.abs(1 - 0.97 * np.exp(-2j * np.pi * centres_hz / sample_rate_hz))
    return (kernels * emphasis[..., None]).reshape(channels, kernel_samples).astype(np.float32)


def _mel(hertz: float) -> float:
    return float(1127 * np.log1p(hertz / 700))


def _configure(params: Params, labels: list[str], store: Path) -> tuple[Path | None, Wav2Vec2Config]:
    """Return the checkpoint's folder, if one is asked for, and the configuration."""
    folder = None
    if params.checkpoint is not None:
        folder = checkpoints.resolve(params.checkpoint, params.revision, store)
    return folder, checkpoints.configure(
        Wav2Vec2ForSequenceClassification, params.config, folder, labels, lambda _: (CLIP_SAMPLES,)
    )


def _front_end(extractor: Wav2Vec2FeatureExtractor) -> nn.Module:
    return UnitVariance() if extractor.do_normalize else nn.Identity()
