"""The shape of the project: who may import whom, and that the flow is the same wherever it is written down."""

import importlib
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import pipeline
from pipeline import code, models, sources
from pipeline.jobs.recipes import Run
from pipeline.jobs.resolving import resolved
from pipeline.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
MODULES = sorted((ROOT / "pipeline").rglob("*.py"))
STAGES = sorted((ROOT / "pipeline" / "stages").glob("[!_]*.py"))
# What runs for students too, in the second round of the graph and in the third.
OF_STUDENTS = re.compile("_(student|second)$")


def stages_of_the_graph() -> dict[str, dict[str, Any]]:
    """Return what dvc.yaml says of each stage, without the list of what it is made for."""
    return {name: {**stage, **stage.get("do", {})} for name, stage in DVC.items()}


def watched(stage: dict[str, Any]) -> list[str]:
    """Return the keys of artifacts/params.json that a stage depends on."""
    return [key for file in stage["params"] for key in file.get("artifacts/params.json") or []]


def test_imports_run_downwards() -> None:
    """The contracts stand in pyproject.toml, [tool.importlinter]: layers, and stages that are independent."""
    linter = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([linter], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_module_has_its_place_in_the_layers() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    placed = {name.strip() for layer in contracts[0]["layers"] for name in layer.split("|")}
    there = {f"pipeline.{module.name}" for module in pkgutil.iter_modules(pipeline.__path__)}
    assert placed == there


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT / "pipeline").as_posix())
def test_a_module_has_at_most_300_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


@pytest.mark.parametrize("path", STAGES, ids=lambda path: path.stem)
def test_a_stage_has_at_most_80_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 80


def test_every_stage_is_a_module_and_a_verb_of_the_same_name() -> None:
    listing = subprocess.run(
        [sys.executable, "-m", "pipeline", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for name, stage in stages_of_the_graph().items():
        verb = OF_STUDENTS.sub("", name)
        assert re.match(rf"python -m pipeline {verb}\b", stage["cmd"])
        assert verb in code.stages()
        assert f" {verb} " in listing


def test_every_stage_depends_on_its_own_code_by_a_key_that_resolve_writes() -> None:
    tree = {
        "seed": 1,
        "download": {"source": "demo"},
        "runs": {"net": {"model": "convs2s"}},
        "students": {"pupil": {"like": "net"}},
        "second_students": {"heir": {"like": "net"}},
    }
    written = resolved(tree)
    for name, stage in stages_of_the_graph().items():
        if name == "resolve":
            assert stage["deps"] == ["pipeline"]
            assert stage["params"] == [{"params.yaml": None}]
            continue
        keys, verb = watched(stage), OF_STUDENTS.sub("", name)
        item = "${item.run}" if "matrix" in stage else "${key}"
        section = (stage.get("matrix", {}).get("run") or stage.get("foreach") or "runs").strip("${}")
        run = {"runs": "net", "students": "pupil", "second_students": "heir"}[section]
        own = {
            "train": f"{section}.{item}",
            "predict": f"code_of_predict.{item}",
        }
        assert own.get(verb, f"code.{verb}") in keys, name
        for key in keys:
            value: Any = written
            for part in key.replace(item, run).split("."):
                assert part in value, f"{name}: {key}"
                value = value[part]


def test_the_default_is_the_demo_profile() -> None:
    assert (ROOT / "params.yaml").read_bytes() == (ROOT / "profiles" / "demo.yaml").read_bytes()


@pytest.mark.parametrize("name", models.names())
def test_every_model_file_offers_what_the_stages_call(name: str) -> None:
    model = models.find(name)
    assert issubclass(model.Params, Settings)
    assert issubclass(model.Training, Settings)
    assert all(callable(getattr(model, verb)) for verb in ("check", "build", "restore"))
    assert Run(model=name).model == name


@pytest.mark.parametrize("name", sources.names())
def test_every_source_file_offers_what_the_stages_call(name: str) -> None:
    source = sources.find(name)
    assert issubclass(source.Params, Settings)
    assert all(callable(getattr(source, verb)) for verb in ("fetch", "read", "sample", "answers"))


def test_no_module_is_a_drawer_or_shadows_a_dependency() -> None:
    names = [module.name for module in pkgutil.walk_packages(pipeline.__path__, "pipeline.")]
    requirements = {line.split("==")[0].lower() for line in (ROOT / "requirements.txt").read_text().splitlines()}
    for name in names:
        last = name.rsplit(".", 1)[1]
        assert last not in {"utils", "util", "helpers", "helper", "common", "misc"}, name
        # A package of that name inside `pipeline` is safe to import; one in a folder on the path would not be.
        assert name in {"pipeline.sources.kaggle"} or last not in requirements, name


def test_every_module_can_be_imported_on_its_own() -> None:
    for module in pkgutil.walk_packages(pipeline.__path__, "pipeline."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


@pytest.mark.parametrize("stage", ["resolve", "submit", "submissions", "validate", "kernel"])
def test_what_needs_no_clips_starts_without_what_reads_them(stage: str) -> None:
    """Each takes half a second to import, and torch three; `resolve` runs at every `dvc repro`."""
    lines = f"import sys; import pipeline.stages.{stage}; print({{'pandas', 'pyarrow', 'torch'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", lines], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
