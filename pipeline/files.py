"""Writing so that a killed process leaves either the old file or the new one, never half of one."""

import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from pipeline.errors import UnreadableJsonError
from pipeline.locks import held


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends well, delete it otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last, because writers such as matplotlib choose the format by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder; put it in the place of `path` when the block ends well, delete it otherwise.

    One process at a time replaces a folder; others wait for it. Killed at any moment, it leaves the old folder or the
    new one, at `path` or where `restored` brings it back from.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _replacing_alone(path):
        _clear_after_kill(path)
        new, old = _aside(path, "new"), _aside(path, "old")
        new.mkdir()
        try:
            yield new
            if path.exists():
                os.replace(path, old)
            os.replace(new, path)
        finally:
            _clear_after_kill(path)


def restored(path: Path) -> Path:
    """Return `path`, a folder that `replacing_folder` writes, brought back if a kill left it aside.

    A folder that is being replaced at this moment is waited for.
    """
    if _aside(path, "old").exists() and not path.exists():
        with _replacing_alone(path):
            _clear_after_kill(path)
    return path


def _aside(path: Path, what: str) -> Path:
    return path.with_name(f".{path.name}.{what}")


def _replacing_alone(path: Path) -> AbstractContextManager[None]:
    return held(_aside(path, "lock"), f"Another write of {path}")


def _clear_after_kill(path: Path) -> None:
    """Bring back the old folder if nothing came to its place, and delete what else is left. The lock must be held."""
    new, old, doomed = (_aside(path, what) for what in ("new", "old", "doomed"))
    if old.exists():
        # Renamed before it is deleted, so that half of a folder is never brought back.
        shutil.rmtree(doomed, ignore_errors=True)
        os.replace(old, doomed if path.exists() else path)
    for left in (new, doomed):
        shutil.rmtree(left, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON with a closing newline."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Return the value that `write_json` wrote, also into a folder that a kill left aside (`restored`).

    Raises UnreadableJsonError if it holds something else, as an empty file that a power cut has left.
    """
    restored(path.parent)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UnreadableJsonError(f"{path} is no JSON ({error}). Delete it, and run: dvc repro") from None


def printable(path: Path) -> str:
    """Return a file's name as it can be printed: one that is no UTF-8 with the bytes that are none escaped."""
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")


def sha256_of(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def yaml_text(value: Any) -> str:
    """Return plain values as YAML 1.2, which DVC and `params.read` take: a word such as 12e4 is in quotes."""
    from ruamel.yaml import YAML

    text = io.StringIO()
    yaml: Any = YAML(typ="safe", pure=True)  # its annotations allow no value at all
    yaml.default_flow_style = yaml.sort_base_mapping_type_on_output = False
    yaml.width = 4096
    yaml.dump(value, text)
    return text.getvalue()
