"""params.yaml: one section, one validated class. Only the verbs and the stages look here."""

import contextlib
import difflib
import hashlib
import json
import os
import re
from datetime import date
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import ValidationError
from ruamel.yaml import YAML, YAMLError

from pipeline.errors import PipelineError
from pipeline.settings import Settings

S = TypeVar("S", bound=Settings)

# The stage that reads the file, what it writes, and the key under which that holds what was read.
RESOLVE, RESOLVED, TEXT = "resolve", "artifacts/params.json", "params.yaml"
LARGEST_SEED = 2**32 - 1  # scikit-learn takes no larger one

SECTIONS = (
    *("seed", "folds", "download", "prepare", "encode", "train", "runs", "vote", "students"),
    *("second_vote", "second_students", "decide", "ensemble", "report", "kernel", "submit", "fleet"),
)
_ALTERNATIVE = re.compile(
    r"^(literal|dict|list|tuple|function-.*|constrained-.*|nullable)\[|^(int|float|str|bool|constrained-.*)$"
)


def read(path: Path) -> dict[str, Any]:
    """Return the whole file as plain values. It is YAML 1.2, as DVC reads and writes it: `yes` and `on` are words.

    In a stage that `dvc repro` runs, it is the file as it was when resolve read it: DVC records the stage as done with
    those values, whatever is written into the file meanwhile.
    Raises PipelineError if it is missing, is no YAML, is no mapping, or holds a section that nothing reads.
    """
    return parsed(text_of(path), path)


def parsed(text: str, path: Path) -> dict[str, Any]:
    """Return the text of the file `path` as `read` does, and raise as it does."""
    try:
        tree = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError) as error:  # ValueError: a date that is none
        raise PipelineError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(tree, dict):
        raise PipelineError(f"{path} must hold sections such as 'download:' and 'runs:'; found {type(tree).__name__}.")
    if strange := [str(name) for name in tree if name not in SECTIONS]:
        raise PipelineError(
            f"{path}: no stage reads the section {', '.join(strange)}. Known sections: {', '.join(SECTIONS)}."
        )
    _refuse_unfit(tree, path, "")
    return tree


def text_of(path: Path) -> str:
    """Return the file that `read` reads, as it stands. Raises PipelineError if it is missing, or is no UTF-8."""
    # Of the project's stages; what is run by hand reads what is there.
    if path.name == TEXT and os.environ.get("DVC_STAGE", RESOLVE).split(":")[-1] != RESOLVE:
        with contextlib.suppress(FileNotFoundError, KeyError):
            held: str = json.loads((path.parent / RESOLVED).read_text(encoding="utf-8"))[TEXT]
            return held
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise PipelineError(
            f"There is no {path}. Run from the project's folder, or start with: cp profiles/demo.yaml params.yaml"
        ) from None
    except ValueError as error:  # bytes that are no UTF-8
        raise PipelineError(f"{path} is not valid YAML: {error}") from None


def validate(values: Any, kind: type[S], where: str) -> S:
    """Return `values` as `kind`; `where` names the section in the message.

    Raises PipelineError that lists every bad key with what was given and what is allowed.
    """
    values = _mapping(values, where)
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise PipelineError(_explain(error, kind, where)) from None


def section(tree: dict[str, Any], name: str, kind: type[S]) -> S:
    """Return the section `name` of params.yaml as `kind`, its defaults where the section is absent."""
    return validate(tree.get(name), kind, name)


def mapping(tree: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the section `name` as it stands there, empty if it is absent. Raises PipelineError for another value."""
    return _mapping(tree.get(name), name)


def seed(tree: dict[str, Any]) -> int:
    """Return the seed that everything random starts from."""
    value = tree.get("seed")
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LARGEST_SEED:
        raise PipelineError(f"params.yaml: 'seed' must be a whole number from 0 to {LARGEST_SEED}; found {value!r}.")
    return value


def folds(tree: dict[str, Any]) -> list[int]:
    """Return the numbers of the folds that are trained; 0 alone where the section is absent."""
    value = tree.get("folds", [0])
    numbers = isinstance(value, list) and all(isinstance(fold, int) and not isinstance(fold, bool) for fold in value)
    if not numbers or not value or min(value) < 0 or len(set(value)) < len(value):
        raise PipelineError(
            f"params.yaml: 'folds' must list the folds to train, each once, such as [0, 1, 2]; found {value!r}."
        )
    return list(value)


def digest(values: Any) -> str:
    """Return the SHA-256 of `values` as canonical JSON: equal parameters, equal digest."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _mapping(values: Any, where: str) -> dict[str, Any]:
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise PipelineError(f"params.yaml, section {where}: expected keys and values, found {values!r}.")
    if strange := [key for key in values if not isinstance(key, str)]:
        raise PipelineError(
            f"params.yaml, section {where}: {strange[0]!r} is a value where a key is expected. Put it in quotes."
        )
    return values


def _refuse_unfit(value: Any, path: Path, at: str) -> None:
    """Raise PipelineError for what JSON cannot hold: a date, a set, bytes, keys of several kinds."""
    strange = [key for key in value if not isinstance(key, str)] if isinstance(value, dict) else []
    if at and strange and len({type(key) for key in value}) > 1:  # JSON cannot order them
        raise PipelineError(f"{path}: {at} has {strange[0]!r} where a key is expected. Put it in quotes.")
    if isinstance(value, dict | list):
        for key, inside in value.items() if isinstance(value, dict) else enumerate(value):
            _refuse_unfit(inside, path, f"{at}.{key}" if at else str(key))
    elif isinstance(value, date):
        raise PipelineError(f"{path}: {at} is {value}, a date, which no parameter is. Put it in quotes.")
    elif isinstance(value, set | bytes):
        raise PipelineError(f"{path}: {at} is a {type(value).__name__}, which no parameter is.")


def _explain(error: ValidationError, kind: type[Settings], where: str) -> str:
    lines: dict[str, None] = {}  # each once: of a type that has alternatives, each of them may say the same
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"] if not _ALTERNATIVE.search(str(part)))
        if problem["type"] == "extra_forbidden":
            known = _fields_at(kind, problem["loc"][:-1])
            near = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
            meant = f" Do you mean {near[0]}?" if near else ""
            lines[f"  {key}: unknown key.{meant} Known keys: {', '.join(known)}"] = None
        elif problem["type"] == "missing":
            lines[f"  {key}: missing, and it has no default"] = None
        else:
            said = problem["msg"].removeprefix("Value error, ")
            lines[f"  {key + ': ' if key else ''}{said}; found {problem['input']!r}"] = None
    return "\n".join([f"params.yaml, section {where}:", *lines])


def _fields_at(kind: Any, loc: tuple[int | str, ...]) -> list[str]:
    """Return the keys of the settings that lie at `loc` inside `kind`."""
    for part in loc:
        field = getattr(kind, "model_fields", {}).get(part)
        if field is not None:
            inside = [field.annotation, *get_args(field.annotation)]
            kind = next((each for each in inside if isinstance(each, type) and issubclass(each, Settings)), kind)
    return list(kind.model_fields)
