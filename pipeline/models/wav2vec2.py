"""wav2vec 2.0 (Baevski et al. 2020) with a classification head over the mean of its frames."""

from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator
from torch import nn
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForSequenceClassification

from pipeline.clips.waveform import CLIP_SAMPLES
from pipeline.examples.training_data import Examples
from pipeline.features.mel_kernels import mel_kernels, start_as_mel
from pipeline.features.normalise import UnitVariance
from pipeline.learners import checkpoints
from pipeline.learners.checkpoints import named_in as checkpoint_of
from pipeline.learners.neural_classifier import TransformerClassifier
from pipeline.learners.training import Training
from pipeline.settings import FromCheckpoint

__all__ = ["Params", "Training", "build", "check", "checkpoint_of", "restore"]


class Params(FromCheckpoint):
    """A published checkpoint, or none for a model from `config` alone; `config` holds keys of Wav2Vec2Config.

    `mel_start` lets the first convolution of a model without a checkpoint start as a mel filter bank: a few thousand
    clips do not teach it one.
    """

    freeze_feature_encoder: bool = False
    mel_start: bool = False
    config: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _starts_what_has_not_learnt(self) -> Self:
        if self.mel_start and self.checkpoint is not None:
            raise ValueError("mel_start is of nets from config alone; the checkpoint's convolutions have learnt theirs")
        return self


def check(params: Params, store: Path) -> None:
    _, config = _configure(params, ["yes", "no"], store)
    if params.mel_start:
        mel_kernels(config.conv_dim[0], config.conv_kernel[0])  # refuses what it cannot start


def build(
    params: Params, training: Training, labels: list[str], examples: Examples, store: Path
) -> TransformerClassifier:
    folder, config = _configure(params, labels, store)
    if folder is not None:
        model, extractor = checkpoints.load(Wav2Vec2ForSequenceClassification, folder, config)
    else:
        model = Wav2Vec2ForSequenceClassification(config)
        if params.mel_start:
            start_as_mel(model.get_parameter("wav2vec2.feature_extractor.conv_layers.0.conv.weight"))
        extractor = Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=False)
    if params.freeze_feature_encoder:
        model.freeze_feature_encoder()
    return TransformerClassifier(model, _front_end(extractor), extractor, training, multi_label=examples.multi_label)


def restore(folder: Path, training: Training) -> TransformerClassifier:
    model = Wav2Vec2ForSequenceClassification.from_pretrained(folder, use_safetensors=True)
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(folder)
    return TransformerClassifier(model, _front_end(extractor), extractor, training)


def _configure(params: Params, labels: list[str], store: Path) -> tuple[Path | None, Wav2Vec2Config]:
    """Return the checkpoint's folder, if one is asked for, and the configuration."""
    folder = checkpoint_of(params, store)
    if folder is not None:
        checkpoints.require_rate(Wav2Vec2FeatureExtractor.from_pretrained(folder))
    return folder, checkpoints.configure(
        Wav2Vec2ForSequenceClassification, params.config, folder, labels, lambda _: (CLIP_SAMPLES,)
    )


def _front_end(extractor: Wav2Vec2FeatureExtractor) -> nn.Module:
    return UnitVariance() if extractor.do_normalize else nn.Identity()
