"""Nets over frames of 128 values, embeddings or audio: what their model files share around the net itself."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from pipeline.examples.training_data import Examples
from pipeline.features.embedding_augment import EmbeddingAugment
from pipeline.features.frames import FrameParams, Frames, frames_for
from pipeline.learners.network import NetClassifier, NetworkSpec
from pipeline.learners.training import Training

# How many frames and labels, and options by their names -> the net.
Make = Callable[..., nn.Module]


def build(
    make: Make, net: dict[str, Any], params: FrameParams, training: Training, labels: list[str], examples: Examples
) -> NetClassifier:
    """Return an unfitted classifier around `make(frames, labels, **net)`; its front end suits the clips."""
    front_end = frames_for(examples.read, examples.rows, params.frames)
    spec = NetworkSpec(labels, examples.multi_label, {"front_end": front_end.options, "net": net})
    return _classifier(make, spec, training, EmbeddingAugment(params.embedding_augment, labels))


def restore(make: Make, folder: Path, training: Training) -> NetClassifier:
    """Return the classifier that `save` wrote."""
    return _classifier(make, NetworkSpec.read(folder), training).load(folder)


def _classifier(
    make: Make, spec: NetworkSpec, training: Training, feature_augment: EmbeddingAugment | None = None
) -> NetClassifier:
    front_end = Frames(**spec.options["front_end"])
    net = make(front_end.frames, len(spec.labels), **spec.options["net"])
    return NetClassifier(net, spec, front_end, training, feature_augment)
