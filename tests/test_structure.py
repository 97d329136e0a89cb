"""The shape of the project: who may import whom, and that the flow is the same wherever it is written down."""

import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import pipeline
from pipeline import models, params, sources
from pipeline.settings import Settings
from pipeline.stages.train import Run

ROOT = Path(__file__).resolve().parents[1]
DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
PROFILES = sorted((ROOT / "profiles").glob("*.yaml"))
# Sections that are no stage: the seed, the runs that `train`, `predict` and `decide` are made for, and those of verbs
# outside the graph.
OTHER_SECTIONS = {"seed", "runs", "submit", "kernel"}


def test_imports_run_downwards() -> None:
    """The layers stand in pyproject.toml, [tool.importlinter]."""
    linter = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([linter], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_stage_is_a_module_and_a_verb_of_the_same_name() -> None:
    modules = {module.name for module in pkgutil.iter_modules([str(ROOT / "pipeline" / "stages")])}
    listing = subprocess.run(
        [sys.executable, "-m", "pipeline", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for name, stage in DVC.items():
        command = stage.get("do", stage)["cmd"]
        assert command.startswith(f"python -m pipeline {name}")
        assert name in modules
        assert f" {name} " in listing


@pytest.mark.parametrize("profile", [ROOT / "params.yaml", *PROFILES], ids=lambda path: path.stem)
def test_every_section_belongs_to_a_stage_and_every_stage_finds_its_sections(profile: Path) -> None:
    sections = set(params.read(profile))
    assert sections <= set(DVC) | OTHER_SECTIONS
    for stage in DVC.values():
        for wanted in stage.get("do", stage).get("params", []):
            assert wanted.split(".")[0] in sections


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


@pytest.mark.parametrize("name", ["access", "kernel", "submissions", "submit", "validate"])
def test_stages_of_the_delivery_only_read_call_and_write(name: str) -> None:
    text = (ROOT / "pipeline" / "stages" / f"{name}.py").read_text()
    assert len(text.splitlines()) <= 80
    # The parsing of runs is still in `decide`.
    assert set(re.findall(r"from pipeline\.stages import (.+)", text)) <= {"decide"}
    assert "from pipeline.stages." not in text
