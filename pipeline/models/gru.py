"""Gated recurrent units (Cho et al. 2014) over the frames of a mel spectrogram."""

from pathlib import Path

from pipeline.examples.training_data import Examples
from pipeline.learners.network import NetClassifier
from pipeline.learners.training import Training
from pipeline.models import _recurrent as recurrent
from pipeline.models._recurrent import RecurrentParams as Params
from pipeline.models._streaming import streaming

__all__ = ["Params", "Training", "build", "restore", "streaming"]


def build(params: Params, training: Training, labels: list[str], examples: Examples, store: Path) -> NetClassifier:
    return recurrent.build("gru", params, training, labels, examples)


def restore(folder: Path, training: Training) -> NetClassifier:
    return recurrent.restore("gru", folder, training)
