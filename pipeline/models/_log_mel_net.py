"""Nets over the log-mel spectrogram: what their model files share around the net itself."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from torch import nn

from pipeline.clips.waveform import CLIP_SAMPLES
from pipeline.examples.training_data import Examples
from pipeline.features.log_mel import LogMel, enough_for_statistics, frames_of, statistics
from pipeline.features.spec_augment import SpecAugment, SpecAugmentParams
from pipeline.learners.network import NetClassifier, NetworkSpec
from pipeline.learners.training import Training

FRAMES = frames_of(CLIP_SAMPLES)
# Parameters and how many labels -> the net.
Make = Callable[..., nn.Module]


class LogMelParams(Protocol):
    """What the parameters of such a net have in common."""

    @property
    def num_mel_bins(self) -> int: ...

    @property
    def spec_augment(self) -> SpecAugmentParams: ...

    def model_dump(self) -> dict[str, object]: ...


def spec_of(params: LogMelParams, labels: list[str], examples: Examples) -> NetworkSpec:
    """Return what rebuilds the net: its parameters, and mean and deviation of the clips' log-mel values."""
    clips = examples.read(enough_for_statistics(examples.rows))
    mean, std = statistics(clips, num_mel_bins=params.num_mel_bins)
    options = {"params": params.model_dump(), "mean": round(mean, 6), "std": round(std, 6)}
    return NetworkSpec(labels, examples.multi_label, options)


def build(make: Make, params: LogMelParams, training: Training, labels: list[str], examples: Examples) -> NetClassifier:
    """Return an unfitted classifier around `make(params, labels)`."""
    return classifier_of(make(params, len(labels)), params, spec_of(params, labels, examples), training)


def restore(make: Make, kind: Callable[..., LogMelParams], folder: Path, training: Training) -> NetClassifier:
    """Return the classifier that `save` wrote; `kind` is the class of its parameters."""
    spec = NetworkSpec.read(folder)
    params = kind(**spec.options["params"])
    return classifier_of(make(params, len(spec.labels)), params, spec, training).load(folder)


def classifier_of(net: nn.Module, params: LogMelParams, spec: NetworkSpec, training: Training) -> NetClassifier:
    """Return the classifier around `net`, which takes log-mel [clips, FRAMES, bins]."""
    mean, std = spec.options["mean"], spec.options["std"]
    front_end = LogMel(num_mel_bins=params.num_mel_bins, max_length=FRAMES, mean=mean, std=std)
    return NetClassifier(net, spec, front_end, training, SpecAugment(params.spec_augment))
