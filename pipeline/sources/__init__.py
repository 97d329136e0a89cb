"""Data sources, found by file name: `download.source: demo` is `pipeline/sources/demo.py`.

A source module offers

- `Params`, a `Settings` class: the `download` section of params.yaml without its `source` key;
- `fetch(params, seed) -> list[SourceFile]`: makes sure that the files are there and whole, downloads or makes them
  where needed (resumable, progress shown), and lists them;
- `read(files) -> Iterator[Recording | SplitList | Rejected]`: streams what the files hold, each recording once, memory
  flat; what cannot be made a recording of is rejected by name and reason;
- `sample(files) -> list[str] | None`: names of the test clips in the order of the sample submission, None where
  there is no such file;
- `answers(files) -> pandas.DataFrame | None`: columns fname, label, usage (Public or Private), None where unknown;
- `KAGGLE = True`, if its test clips are those of a competition at Kaggle, so that they may be submitted there.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol, cast

import pandas

from pipeline.clips.recording import Recording, Rejected, SplitList
from pipeline.errors import PipelineError
from pipeline.settings import Settings


@dataclass(frozen=True)
class SourceFile:
    """A file (or unpacked folder) that a source found: where it lies and what identifies its content."""

    role: Literal["train", "test", "sample", "answers"]
    path: str
    bytes: int
    sha256: str


class Source(Protocol):
    """What each module in this package offers."""

    Params: type[Settings]

    def fetch(self, params: Settings, seed: int) -> list[SourceFile]: ...

    def read(self, files: list[SourceFile]) -> Iterator[Recording | SplitList | Rejected]: ...

    def sample(self, files: list[SourceFile]) -> list[str] | None: ...

    def answers(self, files: list[SourceFile]) -> pandas.DataFrame | None: ...


def names() -> list[str]:
    """Return the names of all sources, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def find(name: str) -> Source:
    """Return the source called `name`.

    Raises PipelineError with the known names if there is none.
    """
    if name not in names():
        raise PipelineError(
            f"download.source is '{name}', but there is no pipeline/sources/{name}.py.\n"
            f"Known sources: {', '.join(names())}. Change download.source in params.yaml."
        )
    return cast(Source, importlib.import_module(f"{__name__}.{name}"))


def is_kaggle(name: str) -> bool:
    """Say whether the test clips of the source are those of a competition at Kaggle; no, unless it says so itself."""
    return name in names() and bool(getattr(find(name), "KAGGLE", False))
