"""Models, found by file name: `model: ast` in a run is `pipeline/models/ast.py`.

A model module offers

- `Params`, a `Settings` class: the run's `parameters`;
- `Training`, a `Settings` class: the run's `training`;
- `check(params, store)`: raises PipelineError if something that building needs is not there (a checkpoint);
- `build(params, training, labels, examples, store) -> Classifier`: an unfitted classifier;
- `restore(folder, training) -> Classifier`: the classifier that `save` wrote;
- `INPUTS`, if it takes other clips than audio: which of samples, embeddings, hidden_states (of stage encode).
"""

import importlib
import pkgutil
from pathlib import Path
from typing import Any, Protocol, cast

from pipeline.errors import PipelineError
from pipeline.examples.training_data import Examples
from pipeline.learners.classifier import Classifier
from pipeline.settings import Settings


class Model(Protocol):
    """What each module in this package offers."""

    Params: type[Settings]
    Training: type[Settings]

    def check(self, params: Any, store: Path) -> None: ...

    def build(self, params: Any, training: Any, labels: list[str], examples: Examples, store: Path) -> Classifier: ...

    def restore(self, folder: Path, training: Any) -> Classifier: ...


def inputs_of(name: str) -> tuple[str, ...]:
    """Return the kinds of input that the model takes."""
    return getattr(find(name), "INPUTS", ("samples",))


def names() -> list[str]:
    """Return the names of all models, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def find(name: str) -> Model:
    """Return the model called `name`.

    Raises PipelineError with the known names if there is none.
    """
    if name not in names():
        raise PipelineError(
            f"A run asks for the model '{name}', but there is no pipeline/models/{name}.py.\n"
            f"Known models: {', '.join(names())}. Change `model` in that run in params.yaml."
        )
    return cast(Model, importlib.import_module(f"{__name__}.{name}"))
