"""params.yaml: one section, one validated class. Only the verbs and the stages look here."""

import hashlib
import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from ruamel.yaml import YAML, YAMLError

from pipeline.errors import PipelineError
from pipeline.settings import Settings

S = TypeVar("S", bound=Settings)

SECTIONS = (
    *("seed", "folds", "download", "prepare", "encode", "train", "runs", "vote", "students", "decide", "ensemble"),
    *("kernel", "submit"),
)


def read(path: Path) -> dict[str, Any]:
    """Return the whole file as plain values. It is YAML 1.2, as DVC reads and writes it: `yes` and `on` are words.

    Raises PipelineError if it is missing, is no YAML, is no mapping, or holds a section that nothing reads.
    """
    try:
        tree = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PipelineError(
            f"There is no {path}. Run from the project's folder, or start with: cp profiles/demo.yaml params.yaml"
        ) from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise PipelineError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(tree, dict):
        raise PipelineError(f"{path} must hold sections such as 'download:' and 'runs:'; found {type(tree).__name__}.")
    known = sections()
    if strange := [str(name) for name in tree if name not in known]:
        raise PipelineError(
            f"{path}: no stage reads the section {', '.join(strange)}. Known sections: {', '.join(known)}."
        )
    return tree


def sections() -> list[str]:
    """Return the sections that params.yaml may have: those of the flow, and one for each other stage."""
    stages = sorted(path.stem for path in (Path(__file__).parent / "stages").glob("[!_]*.py"))
    return list(dict.fromkeys([*SECTIONS, *stages]))


def validate(values: Any, kind: type[S], where: str) -> S:
    """Return `values` as `kind`; `where` names the section in the message.

    Raises PipelineError that lists every bad key with what was given and what is allowed.
    """
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise PipelineError(f"params.yaml, section {where}: expected keys and values, found {values!r}.")
    try:
        return kind(**values)
    except ValidationError as error:
        raise PipelineError(_explain(error, kind, where)) from None


def section(tree: dict[str, Any], name: str, kind: type[S]) -> S:
    """Return the section `name` of params.yaml as `kind`, its defaults where the section is absent."""
    return validate(tree.get(name), kind, name)


def seed(tree: dict[str, Any]) -> int:
    """Return the seed that everything random starts from."""
    value = tree.get("seed")
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise PipelineError(f"params.yaml: 'seed' must be a whole number from 0 up; found {value!r}.")
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


def _explain(error: ValidationError, kind: type[Settings], where: str) -> str:
    lines = [f"params.yaml, section {where}:"]
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            lines.append(f"  {key}: unknown key. Known keys: {', '.join(kind.model_fields)}")
        elif problem["type"] == "missing":
            lines.append(f"  {key}: missing, and it has no default")
        else:
            lines.append(f"  {key}: {problem['msg']}; found {problem['input']!r}")
    return "\n".join(lines)
