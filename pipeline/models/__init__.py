"""Models, found by file name: `model: ast` in a run is `pipeline/models/ast.py`. What a file offers: `Model`."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import modules
from pipeline.errors import PipelineError
from pipeline.examples.training_data import Examples
from pipeline.learners.classifier import Classifier
from pipeline.settings import Settings


def _nothing_is_needed(params: Any, store: Path) -> None:
    pass


def _from_scratch(params: Any, store: Path) -> Path | None:
    return None


@dataclass(frozen=True)
class Model:
    """What each module in this package offers; those with a default need not be there.

    - `Params`, `Training`: the run's `parameters` and `training`.
    - `build(params, training, labels, examples, store)`: an unfitted classifier.
    - `restore(folder, training)`: the classifier that `save` wrote.
    - `check(params, store)`: raises PipelineError if something that building needs is not there (a checkpoint).
    - `checkpoint_of(params, store)`: the folder with the weights that it starts from, None for a net from scratch.
    - `SOFT_LABELS`: whether it learns from a share of each label a clip, as students do.
    - `streaming(classifier)`: a module of one step of a net that hears on and on (`models._streaming`).
    - `INPUTS`: what it takes of the clips: samples, embeddings, hidden_states (of stage encode).
    """

    Params: type[Settings]
    Training: type[Settings]
    build: Callable[[Any, Any, list[str], Examples, Path], Classifier]
    restore: Callable[[Path, Any], Classifier]
    check: Callable[[Any, Path], None] = _nothing_is_needed
    checkpoint_of: Callable[[Any, Path], Path | None] = _from_scratch
    SOFT_LABELS: bool = True
    streaming: Callable[[Any], Any] | None = None
    INPUTS: tuple[str, ...] = ("samples",)


def inputs_of(name: str) -> tuple[str, ...]:
    """Return the kinds of input that the model takes."""
    return find(name).INPUTS


def names() -> list[str]:
    """Return the names of all models, sorted."""
    return modules.names(sys.modules[__name__])


def find(name: str) -> Model:
    """Return the model called `name`.

    Raises PipelineError with the known names if there is none, or if its file lacks what a model has to offer.
    """
    if name not in names():
        raise PipelineError(
            f"A run asks for the model '{name}', but there is no pipeline/models/{name}.py.\n"
            f"Known models: {', '.join(names())}. Change `model` in that run in params.yaml."
        )
    return modules.offered(sys.modules[__name__], name, Model)
