"""What stage fleet says before any work."""

import importlib.util

import pytest
from filelock import FileLock

from pipeline.errors import PipelineError
from pipeline.jobs.checking import problems_of
from pipeline.layout import Layout
from pipeline.stages import fleet


@pytest.fixture
def layout(tmp_path):
    (tmp_path / "params.yaml").write_text("seed: 1\n")
    return Layout(tmp_path)


@pytest.mark.parametrize("installed", [False, True])
def test_without_ray_it_names_the_command_and_changes_nothing(installed, layout, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if installed else None)
    told = "There is no|not inside of a DVC" if installed else "pip install -r requirements-cluster.txt$"
    with pytest.raises(PipelineError, match=told):
        fleet.main(layout)
    assert installed or [path.name for path in layout.root.iterdir()] == ["params.yaml"]


def test_one_fleet_of_a_project_works_at_a_time(layout, monkeypatch):
    monkeypatch.setattr(fleet, "require_ray", lambda: None)
    layout.fleet.mkdir(parents=True)
    with (
        FileLock(layout.fleet / "lock"),
        pytest.raises(PipelineError, match="Another fleet of this project is going on"),
    ):
        fleet.main(layout)


def test_bad_parameters_are_told_here_and_by_stage_check(layout, tmp_path):
    layout.params.write_text("seed: 1\nfleet: {train: {gpu: 1}}\n")
    with pytest.raises(PipelineError, match=r"section fleet:\n  train\.gpu: unknown key\. Do you mean gpus\?"):
        fleet.main(layout)
    assert any(
        "train.gpu: unknown key" in problem for problem in problems_of({"fleet": {"train": {"gpu": 1}}}, tmp_path)
    )
