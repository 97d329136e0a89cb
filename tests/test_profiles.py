"""Every ready parameter file: all of its values are valid, its runs can be built, and DVC finds its stages."""

from pathlib import Path

import pytest
import yaml

from pipeline import models, params, sources
from pipeline.clips.target import Presence
from pipeline.delivery.settings import Kernel, Submit
from pipeline.scoring.ensemble import Ensemble
from pipeline.stages import decide, encode, prepare, train
from pipeline.stages.ensemble import voters

PROFILES = sorted((Path(__file__).resolve().parents[1] / "profiles").glob("*.yaml"))


@pytest.fixture(params=PROFILES, ids=lambda path: path.stem)
def tree(request):
    return params.read(request.param)


def test_every_section_is_valid(tree):
    assert params.seed(tree) >= 0
    source = sources.find(tree["download"]["source"])
    own = {key: value for key, value in tree["download"].items() if key != "source"}
    params.validate(own, source.Params, "download")
    params.section(tree, "prepare", prepare.Params)
    params.section(tree, "encode", encode.Params)
    decide.settings(tree)
    params.section(tree, "submit", Submit)
    if "kernel" in tree:
        params.section(tree, "kernel", Kernel)
    assert voters(tree, params.section(tree, "ensemble", Ensemble))[0]


def test_every_run_can_be_built(tree, tmp_path):
    for name in decide.runs(tree):
        run = train.read_run(tree, name)
        assert run.presence is None or isinstance(run.presence, Presence)
        for recipe in train.recipes_of(run, f"runs.{name}"):
            # A checkpoint is looked for by the stage `check`; there is no hub here.
            if getattr(recipe.parameters, "checkpoint", None) is None:
                recipe.model.check(recipe.parameters, tmp_path)
            assert "hidden_states" not in models.inputs_of(recipe.name) or tree["encode"]


def test_dvc_finds_a_stage_for_every_run(tree, clone, tmp_path):
    listed = clone(tmp_path / "project", tree).dvc("stage", "list", "--name-only").split()
    assert {f"train@{name}" for name in tree["runs"]} == {name for name in listed if name.startswith("train@")}


@pytest.mark.parametrize("name", ["report", "all-systems"])
def test_the_published_failures_stand_beside_the_mended(name):
    path = next(path for path in PROFILES if path.stem == name)
    runs = yaml.safe_load(path.read_text(encoding="utf-8"))["runs"]
    published = [f"convs2s-{number}" for number in range(1, 8)]
    assert {"wav2vec2-words", "wav2vec2-unbalanced", "wav2vec2", "ast", *published} <= runs.keys()
    assert {"lstm", "gru", "convs2s", "lstm-original", "gru-original"} <= runs.keys()
    losses = [(runs[run]["training"]["loss"], runs[run]["training"]["optimizer"]) for run in published]
    assert losses == [
        ("mse", "adam"),
        ("mse", "adamax"),
        ("mse", "sgd"),
        ("cross_entropy", "adam"),
        ("mse", "rmsprop"),
        ("mse", "rmsprop"),
        ("mse", "rmsprop"),
    ]
    assert runs["convs2s-7"]["training"]["batch_size"] == 256
