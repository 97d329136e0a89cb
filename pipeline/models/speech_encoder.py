"""Any audio classifier of transformers: HuBERT, WavLM, data2vec-audio, Wav2Vec2-BERT, UniSpeech-SAT, Whisper, others.

The architecture is the checkpoint's; which features it takes, its feature extractor tells.
"""

import difflib
from pathlib import Path
from typing import Any, Self

import torch
from pydantic import Field, model_validator
from torch import nn
from transformers import (
    CONFIG_MAPPING,
    FEATURE_EXTRACTOR_MAPPING,
    MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING,
    AutoFeatureExtractor,
    AutoModelForAudioClassification,
    SeamlessM4TFeatureExtractor,
    Wav2Vec2FeatureExtractor,
)

from pipeline.clips.waveform import CLIP_SAMPLES
from pipeline.errors import PipelineError
from pipeline.examples.training_data import Examples
from pipeline.features.extracted import Extracted
from pipeline.features.mel_kernels import start_as_mel
from pipeline.features.normalise import UnitVariance
from pipeline.files import read_json
from pipeline.learners import checkpoints
from pipeline.learners.checkpoints import named_in as checkpoint_of
from pipeline.learners.neural_classifier import TransformerClassifier
from pipeline.learners.training import Training
from pipeline.settings import FromCheckpoint

__all__ = ["Params", "Training", "build", "check", "checkpoint_of", "restore"]

FIRST_CONVOLUTION = ".feature_extractor.conv_layers.0.conv.weight"
LAYER_DROP = ("layerdrop", "encoder_layerdrop")  # the share of layers that training skips, by architecture


class Params(FromCheckpoint):
    """A published checkpoint, or the name of an architecture for a net from `config` alone.

    `config` and `extractor` hold keys of the architecture's configuration and of its feature extractor, which override
    the checkpoint's. `layer_weighting` reads a learnt mixture of all layers in place of the last (Peters et al. 2018);
    no layer is then dropped at random while training. `mel_start` lets the first convolution over the waveform start as
    a mel filter bank, in a net without a checkpoint.
    Whisper's encoder takes 30 seconds at a time; for clips of one second, set `extractor: {chunk_length: 1}` and
    `config: {max_source_positions: 50}`.
    """

    architecture: str | None = None
    config: dict[str, Any] = Field(default_factory=dict)
    extractor: dict[str, Any] = Field(default_factory=dict)
    mel_start: bool = False
    layer_weighting: bool = False
    freeze_feature_encoder: bool = False

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.checkpoint is None) == (self.architecture is None):
            raise ValueError(
                "set either checkpoint, or architecture (such as hubert) for a net from config alone; found "
                + ("neither" if self.checkpoint is None else "both")
            )
        if self.mel_start and self.checkpoint is not None:
            raise ValueError("mel_start is of nets from config alone; the checkpoint's convolutions have learnt theirs")
        if self.layer_weighting and any(self.config.get(key) for key in LAYER_DROP):
            raise ValueError("layer_weighting needs all layers in each step: take layerdrop out of config")
        return self


def check(params: Params, store: Path) -> None:
    _, config, extractor = _configure(params, ["yes", "no"], store)
    with torch.device("meta"):
        _prepare(_class_of(config)(config), params)
    _front_end(extractor)


def build(
    params: Params, training: Training, labels: list[str], examples: Examples, store: Path
) -> TransformerClassifier:
    folder, config, extractor = _configure(params, labels, store)
    kind = _class_of(config)
    model = kind(config) if folder is None else checkpoints.load(kind, folder, config)[0]
    _prepare(model, params)
    return TransformerClassifier(model, _front_end(extractor), extractor, training, multi_label=examples.multi_label)


def restore(folder: Path, training: Training) -> TransformerClassifier:
    model = AutoModelForAudioClassification.from_pretrained(folder, use_safetensors=True)
    extractor = AutoFeatureExtractor.from_pretrained(folder)
    return TransformerClassifier(model, _front_end(extractor), extractor, training)


def _configure(params: Params, labels: list[str], store: Path) -> tuple[Path | None, Any, Any]:
    """Return the checkpoint's folder, if one is asked for, the configuration and the feature extractor."""
    folder, architecture = checkpoint_of(params, store), params.architecture or ""
    if folder is not None:
        architecture = str(read_json(folder / checkpoints.CONFIG).get("model_type"))
    kind = _model_class(architecture)
    extractor = _extractor(params, folder, kind)
    clip = _front_end(extractor)(torch.zeros(1, CLIP_SAMPLES))
    values = dict(params.config)
    if params.layer_weighting:
        # A skipped layer would be missing in the sum (transformers 5.23 stops then), and 0.1 is the default of most.
        known = kind.config_class().to_dict()
        values |= {"use_weighted_layer_sum": True, **{key: 0.0 for key in LAYER_DROP if key in known}}
    return folder, checkpoints.configure(kind, values, folder, labels, lambda _: tuple(clip.shape[1:])), extractor


def _class_of(config: Any) -> Any:
    return MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING[type(config)]


def _model_class(architecture: str) -> Any:
    """Return transformers' classifier for an architecture. Raises PipelineError with the known ones if it has none."""
    known = sorted(kind.model_type for kind in MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING)
    if architecture not in known:
        near = difflib.get_close_matches(architecture, known, n=1)
        raise PipelineError(
            f"transformers has no audio classifier of the architecture '{architecture}'."
            + (f" Do you mean {near[0]}?" if near else "")
            + f"\nIt has: {', '.join(known)}. Change `architecture` or `checkpoint` of the run in params.yaml."
        )
    return MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING[CONFIG_MAPPING[architecture]]


def _extractor(params: Params, folder: Path | None, model: Any) -> Any:
    """Return the checkpoint's or the architecture's feature extractor, with `params.extractor` over its values.

    Raises PipelineError for an unknown key, or clips of another sample rate.
    """
    if folder is not None:
        extractor = AutoFeatureExtractor.from_pretrained(folder)
    else:
        kind: Any = FEATURE_EXTRACTOR_MAPPING[model.config_class]
        if kind.model_input_names[0] != model.main_input_name:
            kind = SeamlessM4TFeatureExtractor  # wav2vec2-bert's; the table (transformers 5.23) has another
        extractor = kind(**({"do_normalize": True} if kind is Wav2Vec2FeatureExtractor else {}))
    values = extractor.to_dict()
    if unknown := sorted(set(params.extractor) - set(values)):
        raise PipelineError(
            f"{type(extractor).__name__} of transformers knows no {', '.join(unknown)}.\n"
            "Look the key up in its documentation, and mend `extractor` in the run's parameters in params.yaml."
        )
    if params.extractor:
        extractor = type(extractor)(**{**values, **params.extractor})
    checkpoints.require_rate(extractor, "the run's `checkpoint` or `extractor`")
    return extractor


def _prepare(model: Any, params: Params) -> None:
    """Let the convolutions over the waveform start as `params` says, and freeze them if it does.

    Raises PipelineError if the architecture has none.
    """
    if not (params.mel_start or params.freeze_feature_encoder):
        return
    if not hasattr(model, "freeze_feature_encoder"):
        raise PipelineError(
            f"{type(model).__name__} has no convolutions over the waveform.\n"
            "Take `mel_start` and `freeze_feature_encoder` out of the run's parameters in params.yaml."
        )
    if params.mel_start:
        (first,) = (weight for name, weight in model.named_parameters() if name.endswith(FIRST_CONVOLUTION))
        start_as_mel(first)
    if params.freeze_feature_encoder:
        model.freeze_feature_encoder()


def _front_end(extractor: Any) -> nn.Module:
    """Return what makes a clip the model's input: the extractor, or its like for whole batches, if it only scales."""
    if not isinstance(extractor, Wav2Vec2FeatureExtractor):
        return Extracted(extractor)
    return UnitVariance() if extractor.do_normalize else nn.Identity()
