import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from pipeline import modules
from pipeline.errors import PipelineError


@dataclass(frozen=True)
class Shape:
    SIDES: int
    colour: str = "red"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    folder = tmp_path / "shapes_of_a_test"
    folder.mkdir()
    for name, content in {
        "__init__": "",
        "square": "SIDES = 4\ncolour = 'blue'\narea = 1",
        "line": "SIDES = 1",
        "blot": "colour = 'black'",
        "_parts": "SIDES = 3",
    }.items():
        (folder / f"{name}.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    package = importlib.import_module(folder.name)
    yield package
    for name in [name for name in sys.modules if name.split(".")[0] == folder.name]:
        del sys.modules[name]


def test_names_are_those_of_the_files_without_parts_of_others(package: ModuleType) -> None:
    assert modules.names(package) == ["blot", "line", "square"]


def test_what_a_module_does_not_say_has_a_default(package: ModuleType) -> None:
    assert modules.offered(package, "square", Shape) == Shape(4, "blue")
    assert modules.offered(package, "line", Shape) == Shape(1, "red")


def test_a_module_that_lacks_something_is_refused(package: ModuleType) -> None:
    with pytest.raises(PipelineError, match=r"blot\.py offers no SIDES: .*__init__\.py says what"):
        modules.offered(package, "blot", Shape)
