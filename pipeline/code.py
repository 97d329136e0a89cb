"""Which code a stage runs: all modules of this package that it imports, and theirs. Results depend on no other code."""

import hashlib
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent
# They carry values, paths and messages to and fro, and shape no result; all that a stage reads of params.yaml is a
# dependency of its own. `code` itself finds the others.
PLUMBING = ("code", "errors", "files", "layout", "locks", "modules", "params", "processes", "settings")

_IMPORT = re.compile(r"^[ \t]*(?:from ([\w.]+) import (\([^)]*\)|.*)|import ([\w.]+))", re.MULTILINE)
_NAME = re.compile(r"\w+")


def stages() -> list[str]:
    """Return the names of all stages, sorted."""
    return sorted(path.stem for path in (ROOT / "stages").glob("[!_]*.py"))


def closure(names: Iterable[str]) -> list[str]:
    """Return the modules that `names` (such as "stages.train") run, sorted, themselves included, plumbing left out.

    Imports count wherever they stand: at the top, in a function, or for types alone. What is imported by a name that
    is only known later (a model, a source) must be among `names`.
    """
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name not in found and name not in PLUMBING:
            found.add(name)
            left += _imported(name)
    return sorted(found)


def digest(names: Iterable[str]) -> str:
    """Return the SHA-256 of the source of all modules that `names` run, and of the data files in their packages."""
    digest = hashlib.sha256()
    for name in closure(names):
        digest.update(f"{name}\n".encode() + _source(name) + _data(name))
    return digest.hexdigest()


def _path(name: str) -> Path:
    path = ROOT.joinpath(*name.split(".")) if name else ROOT
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _source(name: str) -> bytes:
    return _path(name).read_bytes()


@cache
def _data(name: str) -> bytes:
    """Return the names and bytes of the files that lie in a package and are no code, such as templates."""
    path = _path(name)
    files = _beside(path.parent) if path.name == "__init__.py" else []
    return b"".join(each.name.encode() + each.read_bytes() for each in files)


def _beside(folder: Path) -> list[Path]:
    """Return the files of a package that are no code, sorted, those of its folders that are no packages included."""
    found: list[Path] = []
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name != "__pycache__" and not (path / "__init__.py").exists():
            found += _beside(path)
        elif path.is_file() and path.suffix not in (".py", ".pyc") and not path.name.startswith("."):
            found.append(path)
    return found


@cache
def _imported(name: str) -> list[str]:
    """Return the modules of this package that a module imports, and the packages that it lies in.

    Its lines are searched, not parsed: that takes a tenth of the time, and `resolve` reads all modules at each
    `dvc repro`. A line of a docstring that reads like an import counts too, which does no harm.
    """
    full: set[str] = set()
    for module, parts, plain in _IMPORT.findall(_source(name).decode()):
        full |= {plain} if plain else {module, *(f"{module}.{part}" for part in _NAME.findall(parts))}
    ours = {each.removeprefix(f"{ROOT.name}.") for each in full if each.startswith(f"{ROOT.name}.")}
    parts = name.split(".")
    ours |= {".".join(parts[:length]) for length in range(1, len(parts))}
    return sorted(each for each in ours if _path(each).exists())
