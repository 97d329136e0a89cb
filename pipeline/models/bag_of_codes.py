"""Bag of codes (Verma 2021, "Large scale audio understanding without ..."): no convolution, no attention, no order.

A second of spectrogram is cut into 143 vectors of four families; each becomes a code by way of an autoencoder and
k-means; a small network sees only how often each code occurs.
"""

from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator
from torch import nn

from pipeline.errors import PipelineError
from pipeline.examples.training_data import Examples
from pipeline.features.bag_of_codes import BagOfCodes
from pipeline.features.code_masking import CodeMasking
from pipeline.features.log_mel import enough_for_statistics
from pipeline.features.mel_spectrogram import statistics
from pipeline.features.spectrogram_vectors import FAMILIES
from pipeline.learners import training as fitting
from pipeline.learners.losses import Loss
from pipeline.learners.network import NetworkSpec
from pipeline.models._code_classifier import CHUNK_CLIPS, CodeClassifier
from pipeline.models._codes import CodeLearning
from pipeline.settings import Settings


class Params(Settings):
    """The published sizes by default: `codes` a family, bottlenecks `shrink` times shorter than the vectors, and a head
    of `hidden` units with `dropout`, from whose counts `masked_share` are missing while it learns.

    `takes` is how many augmented versions of each training clip are encoded: 1 if `augmentation` is off.
    """

    codes: int = Field(256, ge=2, le=65_536)
    shrink: Literal[10, 20] = 10
    learning: CodeLearning = CodeLearning()
    hidden: int = Field(512, ge=1)
    dropout: float = Field(0.4, ge=0, lt=1)
    masked_share: float = Field(0.35, ge=0, lt=1)
    takes: int = Field(1, ge=1)


class Training(fitting.Training):
    """How the head is fitted. It sees counts without time, of which CutMix could take no stretch."""

    loss: Loss | Literal["auto"] = "huber"
    learning_rate: float = Field(1e-3, gt=0)

    @model_validator(mode="after")
    def _without_time(self) -> Self:
        if self.cutmix_alpha:
            raise ValueError("cutmix_alpha takes stretches of time, and a bag of codes has none; set cutmix_alpha: 0")
        return self


def build(params: Params, training: Training, labels: list[str], examples: Examples, store: Path) -> CodeClassifier:
    fewest = min(len(examples.rows), params.learning.vectors)  # of all families, the whole gives one vector a clip
    if fewest < params.codes:
        raise PipelineError(
            f"{params.codes} codes cannot be learnt from {fewest} vectors.\n"
            "Lower `codes`, or raise `learning.vectors`, in the parameters of the run in params.yaml."
        )
    rows = enough_for_statistics(examples.rows)
    parts = np.array_split(rows, -(-len(rows) // CHUNK_CLIPS))
    mean, std = statistics(examples.read(part) for part in parts)
    options = {**params.model_dump(), "mean": round(mean, 6), "std": round(std, 6)}
    return _classifier(NetworkSpec(labels, examples.multi_label, options), training)


def restore(folder: Path, training: Training) -> CodeClassifier:
    return _classifier(NetworkSpec.read(folder), training).load(folder)


def _classifier(spec: NetworkSpec, training: Training) -> CodeClassifier:
    values = dict(spec.options)
    normalisation = {name: values.pop(name) for name in ("mean", "std")}
    params = Params(**values)
    head = nn.Sequential(
        nn.Linear(params.codes * len(FAMILIES), params.hidden),
        nn.ReLU(),
        nn.Dropout(params.dropout),
        nn.Linear(params.hidden, len(spec.labels)),
    )
    front_end = BagOfCodes(
        size=params.codes,
        shrink=params.shrink,
        width=params.learning.width,
        dropout=params.learning.dropout,
        **normalisation,
    )
    feature_augment = CodeMasking(params.masked_share)
    return CodeClassifier(head, spec, front_end, training, feature_augment, params.learning, params.takes)
