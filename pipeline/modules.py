"""Modules that are found by their file's name, and what each kind of them offers."""

import dataclasses
import importlib
import pkgutil
from types import ModuleType
from typing import TypeVar

from pipeline.errors import PipelineError

Kind = TypeVar("Kind")


def names(package: ModuleType) -> list[str]:
    """Return the names of the package's modules, sorted; a file whose name begins with `_` is a part of others."""
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_"))


def stage(name: str) -> ModuleType:
    """Return the module of a stage, imported now: what it needs takes seconds, which other verbs need not wait for."""
    return importlib.import_module(f"pipeline.stages.{name}")


def offered(package: ModuleType, name: str, kind: type[Kind]) -> Kind:
    """Return what the module `name` offers of the fields of `kind`, a dataclass; its defaults fill in the rest.

    Raises PipelineError if the module lacks a field that has no default.
    """
    module = importlib.import_module(f"{package.__name__}.{name}")
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]  # a dataclass cannot be asked for in a type
    if lacking := [f.name for f in fields if f.default is dataclasses.MISSING and not hasattr(module, f.name)]:
        raise PipelineError(
            f"{module.__file__} offers no {', '.join(lacking)}: {package.__file__} says what it has to offer."
        )
    return kind(**{f.name: getattr(module, f.name) for f in fields if hasattr(module, f.name)})
