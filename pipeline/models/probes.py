"""Probes of a speech encoder's layers: on each layer's hidden states one classifier, and the layers vote.

`classifier` names one; scikit-learn's and XGBoost's have the defaults of their library unless `options` says otherwise.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC
from torch import nn
from xgboost import XGBClassifier

from pipeline.errors import PipelineError
from pipeline.examples.training_data import Examples, refuse_soft_labels
from pipeline.features.selection import Selecting
from pipeline.learners import training as fitting
from pipeline.learners.classifier import Classifier
from pipeline.learners.estimator import EstimatorClassifier
from pipeline.learners.network import SPEC, NetClassifier, NetworkSpec
from pipeline.models._layerwise import LayerwiseClassifier
from pipeline.settings import Settings

INPUTS = ("hidden_states",)
SOFT_LABELS = False

ESTIMATORS: dict[str, Callable[[], Any]] = {
    "logistic_regression": lambda: LogisticRegression(max_iter=1_000),
    "random_forest": lambda: RandomForestClassifier(n_estimators=100),
    "svm_rbf": lambda: SVC(kernel="rbf"),
    "svm_linear": lambda: SVC(kernel="linear"),
    "svm_sigmoid": lambda: SVC(kernel="sigmoid"),
    "svm_poly": lambda: SVC(kernel="poly"),
    "xgboost": lambda: XGBClassifier(),  # a softmax over the labels is what it takes for several
}
WIDTHS = (1024, 512, 256, 128, 64)
DROPOUTS = (0.3, 0.2, 0.2, 0.2, 0.1)


class Params(Settings):
    """`layers` are numbers of stored layers, None for all that `encode.layers` lists; `degree` is of svm_poly.

    `oversample` draws clips of rarer labels again, until each label has as many as the most frequent one. `options` are
    keys of the classifier's own, such as {C: 10} or {n_estimators: 500}.
    """

    classifier: Literal[
        "logistic_regression",
        "random_forest",
        "svm_rbf",
        "svm_linear",
        "svm_sigmoid",
        "svm_poly",
        "xgboost",
        "dense_net",
    ] = "logistic_regression"
    layers: tuple[int, ...] | None = Field(None, min_length=1)
    selection: Selecting = Selecting()
    oversample: bool = True
    degree: int = Field(3, ge=2, le=9)
    options: dict[str, Any] = Field(default_factory=dict)


class Training(Settings):
    """`jobs` threads for the classifiers that take several, None for all cores; the others are of the dense net."""

    jobs: int | None = Field(None, ge=1)
    epochs: int = Field(30, ge=1)
    batch_size: int = Field(64, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    patience: int | None = Field(None, ge=1)


def check(params: Params, store: Path) -> None:
    """Raise PipelineError for options that the classifier does not have. Stage check knows of layers."""
    if params.classifier != "dense_net":
        _estimator(params, Training(), 0)
    elif params.options:
        raise PipelineError(f"A dense_net takes no options; found {params.options}. Its knobs are in `training`.")


def build(
    params: Params, training: Training, labels: list[str], examples: Examples, store: Path
) -> LayerwiseClassifier:
    """Raises PipelineError for clips with several labels, or layers that are not stored."""
    if examples.multi_label:
        raise PipelineError(
            "Probes tell one label a clip, and these clips may have several.\n"
            "Give the run another `target`, or a `presence`, in params.yaml."
        )
    refuse_soft_labels(examples, "Probes")
    if len(learnt := np.unique(examples.targets)) == 1:
        raise PipelineError(
            f"All training clips have the label '{labels[learnt[0]]}', so there is nothing to tell apart.\n"
            "Change `target` of the run in params.yaml, or take other data."
        )
    layers = list(dict.fromkeys(examples.layers if params.layers is None else params.layers))
    if absent := sorted(set(layers) - set(examples.layers)):
        raise PipelineError(
            f"No hidden states of layer {', '.join(map(str, absent))} are stored; there are those of "
            f"{', '.join(map(str, examples.layers))}.\nChange `encode.layers`, or the run's `layers`, in params.yaml."
        )

    def make(features: int, seed: int) -> Classifier:
        if params.classifier == "dense_net":
            torch.manual_seed(seed)
            spec = NetworkSpec(labels, False, {"features": features})
            return NetClassifier(dense_net(features, len(labels)), spec, nn.Identity(), _fitting(training))
        return EstimatorClassifier(_estimator(params, training, seed), labels)

    places = [examples.layers.index(layer) for layer in layers]
    return LayerwiseClassifier(labels, layers, places, params.selection, params.oversample, make, _restore(training))


def restore(folder: Path, training: Training) -> LayerwiseClassifier:
    return LayerwiseClassifier.restore(folder, _restore(training))


def dense_net(features: int, labels: int) -> nn.Sequential:
    """Return the net of the published table: five hidden layers, each followed by ReLU and dropout."""
    parts: list[nn.Module] = []
    for inputs, width, dropout in zip((features, *WIDTHS), WIDTHS, DROPOUTS, strict=False):
        parts += [nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*parts, nn.Linear(WIDTHS[-1], labels))


def _restore(training: Training) -> Callable[[Path], Classifier]:
    def restore(folder: Path) -> Classifier:
        if not (folder / SPEC).exists():
            return EstimatorClassifier.restore(folder)
        spec = NetworkSpec.read(folder)
        net = dense_net(spec.options["features"], len(spec.labels))
        return NetClassifier(net, spec, nn.Identity(), _fitting(training)).load(folder)

    return restore


def _fitting(training: Training) -> fitting.Training:
    return fitting.Training(
        **training.model_dump(exclude={"jobs"}),
        optimizer="adam",
        schedule="constant_with_warmup",
        warmup_ratio=0.0,
    )


def _estimator(params: Params, training: Training, seed: int) -> Any:
    estimator = ESTIMATORS[params.classifier]()
    known = estimator.get_params()
    ours = {"random_state": seed, "degree": params.degree}
    if params.classifier in ("random_forest", "xgboost"):
        ours["n_jobs"] = training.jobs or -1
    if strange := sorted(set(params.options) - set(known) | set(params.options) & set(ours)):
        raise PipelineError(
            f"{type(estimator).__name__} takes no option {', '.join(strange)} here. Options: "
            f"{', '.join(sorted(set(known) - set(ours)))}.\nChange `options` in the run's parameters in params.yaml."
        )
    return estimator.set_params(**{key: value for key, value in ours.items() if key in known}, **params.options)
