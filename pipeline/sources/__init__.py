"""Data sources, found by file name: `download.source: demo` is `pipeline/sources/demo.py`.

What a file offers: `Source`.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pipeline import modules
from pipeline.clips.recording import Recording, Rejected, SplitList
from pipeline.errors import PipelineError
from pipeline.settings import Settings

if TYPE_CHECKING:  # half a second, which `submit` need not wait for
    import pandas


@dataclass(frozen=True)
class SourceFile:
    """A file (or unpacked folder) that a source found: where it lies and what identifies its content."""

    role: Literal["train", "test", "sample", "answers"]
    path: str
    bytes: int
    sha256: str


def _none(files: list[SourceFile]) -> None:
    return None


@dataclass(frozen=True)
class Source:
    """What each module in this package offers; the last four need not be there.

    - `Params`: the `download` section of params.yaml without its `source` key.
    - `fetch(params, seed)`: makes sure that the files are there and whole, downloads or makes them where needed
      (resumable, progress shown), and lists them.
    - `read(files)`: streams what the files hold, each recording once, memory flat; what cannot be made a recording of
      is rejected by name and reason.
    - `sample(files)`: names of the test clips in the order of the sample submission, None where there is no such file.
    - `answers(files)`: columns fname, label, usage (Public or Private), None where unknown.
    - `TELLS`: what it knows of training clips, which a run may have as `target`; None where that depends on the files.
    - `KAGGLE`: whether its test clips are those of a competition at Kaggle, so that they may be submitted there.
    """

    Params: type[Settings]
    fetch: Callable[[Any, int], list[SourceFile]]
    read: Callable[[list[SourceFile]], Iterator[Recording | SplitList | Rejected]]
    sample: Callable[[list[SourceFile]], list[str] | None] = _none
    answers: "Callable[[list[SourceFile]], pandas.DataFrame | None]" = _none
    TELLS: tuple[str, ...] | None = None
    KAGGLE: bool = False


def names() -> list[str]:
    """Return the names of all sources, sorted."""
    return modules.names(sys.modules[__name__])


def find(name: str) -> Source:
    """Return the source called `name`.

    Raises PipelineError with the known names if there is none, or if its file lacks what a source has to offer.
    """
    if name not in names():
        raise PipelineError(
            f"download.source is '{name}', but there is no pipeline/sources/{name}.py.\n"
            f"Known sources: {', '.join(names())}. Change download.source in params.yaml."
        )
    return modules.offered(sys.modules[__name__], name, Source)


def named(section: Any) -> tuple[Source, dict[str, Any]]:
    """Return the source that the section `download`, or an entry of its `extra`, names, and the source's own keys.

    Raises PipelineError with the known sources if it names none.
    """
    if not isinstance(section, dict) or not isinstance(section.get("source"), str):
        raise PipelineError(
            f"params.yaml, section download: 'source' must name a data source; found {section!r}.\n"
            f"Known sources: {', '.join(names())}."
        )
    return find(section["source"]), {key: value for key, value in section.items() if key not in ("source", "extra")}


def is_kaggle(name: str) -> bool:
    """Say whether the test clips of the source are those of a competition at Kaggle; no, unless it says so itself."""
    return name in names() and find(name).KAGGLE
