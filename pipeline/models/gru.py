"""Gated recurrent units (Cho et al. 2014) over the frames of a mel spectrogram."""

from pathlib import Path

from pipeline.learners import recurrent
from pipeline.learners.classifier import Examples
from pipeline.learners.network import NetClassifier
from pipeline.learners.recurrent import RecurrentParams as Params
from pipeline.learners.trainer import Training

__all__ = ["Params", "Training", "build", "check", "restore"]


def check(params: Params, store: Path) -> None:
    """Nothing has to be there: the net learns from scratch."""


def build(params: Params, training: Training, labels: list[str], examples: Examples, store: Path) -> NetClassifier:
    return recurrent.build("gru", params, training, labels, examples)


def restore(folder: Path, training: Training) -> NetClassifier:
    return recurrent.restore("gru", folder, training)
