"""Audio Spectrogram Transformer (Gong et al. 2021): a vision transformer over patches of the log-mel spectrogram."""

from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field
from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification

from pipeline.examples.training_data import Examples
from pipeline.features.log_mel import LogMel, enough_for_statistics, statistics
from pipeline.features.spec_augment import SpecAugment, SpecAugmentParams
from pipeline.learners import checkpoints
from pipeline.learners.checkpoints import named_in as checkpoint_of
from pipeline.learners.neural_classifier import TransformerClassifier
from pipeline.learners.training import Training
from pipeline.settings import FromCheckpoint

__all__ = ["Params", "Training", "build", "check", "checkpoint_of", "restore"]


class Params(FromCheckpoint):
    """A published checkpoint, or none for a model from `config` alone; `config` holds keys of ASTConfig."""

    config: dict[str, Any] = Field(default_factory=dict)
    spec_augment: SpecAugmentParams = SpecAugmentParams()


def check(params: Params, store: Path) -> None:
    _configure(params, ["yes", "no"], store)


def build(
    params: Params, training: Training, labels: list[str], examples: Examples, store: Path
) -> TransformerClassifier:
    folder, config = _configure(params, labels, store)
    if folder is not None:
        # Mean and deviation of the front end are the checkpoint's own: its weights expect them.
        model, extractor = checkpoints.load(ASTForAudioClassification, folder, config)
    else:
        model = ASTForAudioClassification(config)
        clips = examples.read(enough_for_statistics(examples.rows))
        mean, std = statistics(clips, num_mel_bins=model.config.num_mel_bins)
        extractor = ASTFeatureExtractor(
            num_mel_bins=model.config.num_mel_bins,
            max_length=model.config.max_length,
            mean=float(np.round(mean, 6)),
            std=float(np.round(std, 6)),
        )
    front_end = _front_end(extractor)
    feature_augment = SpecAugment(params.spec_augment, front_end.sounding)
    return TransformerClassifier(model, front_end, extractor, training, feature_augment, examples.multi_label)


def restore(folder: Path, training: Training) -> TransformerClassifier:
    model = ASTForAudioClassification.from_pretrained(folder, use_safetensors=True)
    extractor = ASTFeatureExtractor.from_pretrained(folder)
    return TransformerClassifier(model, _front_end(extractor), extractor, training)


def _configure(params: Params, labels: list[str], store: Path) -> tuple[Path | None, ASTConfig]:
    """Return the checkpoint's folder, if one is asked for, and the configuration."""
    folder, values = checkpoint_of(params, store), params.config
    if folder is None:
        values = {"max_length": 128, **values}
    else:
        checkpoints.require_rate(ASTFeatureExtractor.from_pretrained(folder))
    return folder, checkpoints.configure(
        ASTForAudioClassification, values, folder, labels, lambda config: (config.max_length, config.num_mel_bins)
    )


def _front_end(extractor: ASTFeatureExtractor) -> LogMel:
    normalises = extractor.do_normalize
    return LogMel(
        num_mel_bins=extractor.num_mel_bins,
        max_length=extractor.max_length,
        mean=extractor.mean if normalises else 0.0,
        std=extractor.std if normalises else 0.5,  # LogMel divides by twice of it
        sampling_rate=extractor.sampling_rate,
    )
