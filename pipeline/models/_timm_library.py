"""The library timm, imported with torchvision or without."""

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from pipeline.errors import PipelineError

# What timm 1.0.31 imports of torchvision: one class that it looks for in a network, and what reads images from disk.
TORCHVISION = ("transforms", "transforms.functional", "ops", "ops.misc", "datasets")


def timm_library() -> Any:
    """Return the module timm. Raises PipelineError that says how to install it if it is not there, or cannot be used.

    Its backbones compute with torch alone, yet its first lines import torchvision, which has no build for every torch.
    Where there is none, empty classes stand in for torchvision while timm is imported, and no longer.
    """
    if "timm" in sys.modules:
        return sys.modules["timm"]
    if importlib.util.find_spec("timm") is None:
        raise PipelineError(
            "The library timm is not installed, and a run with `model: timm` needs it.\n"
            "Install it with: pip install --no-deps -r requirements-timm.txt"
        )
    if importlib.util.find_spec("torchvision") is None:
        with _stand_ins():
            return importlib.import_module("timm")
    try:
        return importlib.import_module("timm")
    except (ImportError, RuntimeError) as error:  # torchvision's of a build for another torch
        raise PipelineError(
            f"timm cannot be imported: {type(error).__name__}: {error}\n"
            "If that is torchvision's, remove it (pip uninstall torchvision): it is not needed here."
        ) from None


class _Anything(type):
    """A class of which each attribute is its own name."""

    def __getattr__(cls, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        return name


class _StandIn(ModuleType):
    """A module of which each name is an empty class."""

    __path__: list[str] = []  # noqa: RUF012  # what makes a module a package

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        value = _Anything(name, (), {})
        setattr(self, name, value)
        return value


@contextmanager
def _stand_ins() -> Iterator[None]:
    names = ["torchvision", *(f"torchvision.{name}" for name in TORCHVISION)]
    modules = {name: _StandIn(name) for name in names}
    for name, module in modules.items():
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(modules[parent], child, module)
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]
