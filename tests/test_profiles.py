"""Every ready parameter file: all of its values are valid, its runs can be built, and DVC finds its stages."""

import dataclasses
import importlib.util
import re
from pathlib import Path

import pytest
import yaml

from pipeline import params, runs, sections, sources
from pipeline.clips.preparation import Prepare
from pipeline.jobs import checking
from pipeline.jobs.checking import problems_of

ROOT = Path(__file__).resolve().parents[1]
PROFILES = sorted((ROOT / "profiles").glob("*.yaml"))
# What dvc.yaml and DVC need of params.yaml; all else has defaults.
NEEDED = {"seed", "folds", "download", "runs"}


@pytest.fixture(params=PROFILES, ids=lambda path: path.stem)
def tree(request):
    return params.read(request.param)


@pytest.fixture
def without_hub(monkeypatch):
    """A published checkpoint is looked for by stage check; there is no hub here, and perhaps no timm."""
    real = checking.recipes_of
    there = {"check": lambda params, store: None, "checkpoint_of": lambda params, store: store}

    def recipes_of(run, where):
        return [
            dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, **there))
            if getattr(recipe.parameters, "checkpoint", None)
            or getattr(recipe.parameters, "pretrained", False)
            or (recipe.name == "timm" and importlib.util.find_spec("timm") is None)
            else recipe
            for recipe in real(run, where)
        ]

    monkeypatch.setattr(checking, "recipes_of", recipes_of)


def test_it_holds(tree, without_hub, tmp_path):
    """Every section is valid and every run can be built."""
    if (tree.get("encode") or {}).get("checkpoint"):
        tree["encode"] = {**tree["encode"], "fit": {"model": "wav2vec2"}, "checkpoint": None}
    assert problems_of(tree, tmp_path) == []
    assert tree.keys() >= NEEDED
    for vote in ("vote", "ensemble"):
        assert sections.voters(tree, vote)[1]


def test_it_says_what_differs_from_the_defaults(tree):
    """Values that are the defaults are left out, but for what dvc.yaml needs."""
    for name, kind in (("prepare", Prepare), ("decide", type(sections.decide(tree)))):
        assert name not in tree or tree[name], name
        defaults = kind().model_dump(mode="json")
        for key, value in (tree.get(name) or {}).items():
            assert value != defaults[key], f"{name}.{key}"
    source, values = sources.named(tree["download"])
    given = params.validate(values, source.Params, "download")
    for key in values:
        field = source.Params.model_fields[key]
        assert field.is_required() or getattr(given, key) != field.default, f"download.{key}"


def test_dvc_finds_a_stage_for_every_run_and_fold(tree, clone, tmp_path):
    listed = clone(tmp_path / "project", tree).dvc("stage", "list", "--name-only").split()
    trained = {f"train@{name}-{fold}" for name in runs.teachers(tree) for fold in params.folds(tree)}
    assert trained == {name for name in listed if name.startswith("train@")}


def test_the_defaults_that_the_demo_tells_of_are_the_defaults():
    text = (ROOT / "profiles" / "demo.yaml").read_text(encoding="utf-8")
    told = yaml.safe_load(re.sub("^# ?", "", text.split("most often:\n")[1].split("\n\nseed:")[0], flags=re.M))
    told["prepare"]["commands"] = re.search(r"commands: \[(.*)\]", text)[1].split(", ")
    tree = {"runs": {"a": {}}, **told}
    assert params.section(tree, "prepare", Prepare) == Prepare()
    assert sections.decide(tree) == sections.decide({"runs": {"a": {}}})
    assert sections.voters(tree, "ensemble") == sections.voters({"runs": {"a": {}}}, "ensemble")
    assert told["encode"] == {}


@pytest.mark.parametrize("name", ["report", "all-systems"])
def test_the_published_failures_stand_beside_the_mended(name):
    path = next(path for path in PROFILES if path.stem == name)
    tree = params.read(path)
    published = [f"convs2s-{number}" for number in range(1, 8)]
    assert {"wav2vec2-words", "wav2vec2-unbalanced", "wav2vec2", "ast", *published} <= set(runs.names(tree))
    assert {"lstm", "gru", "convs2s", "lstm-original", "gru-original"} <= set(runs.names(tree))
    trainings = [runs.entry(tree, run)["training"] for run in published]
    assert [(training["loss"], training["optimizer"]) for training in trainings] == [
        ("mse", "adam"),
        ("mse", "adamax"),
        ("mse", "sgd"),
        ("cross_entropy", "adam"),
        ("mse", "rmsprop"),
        ("mse", "rmsprop"),
        ("mse", "rmsprop"),
    ]
    assert trainings[-1]["batch_size"] == 256
    assert "reported" not in runs.entry(tree, "convs2s-2")
