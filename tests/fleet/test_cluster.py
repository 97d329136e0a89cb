"""A real cluster: three Ray nodes on this machine, one of which is killed. Skipped where Ray is not installed."""

import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import REPRO, stages_run

pytest.importorskip("ray", reason="pip install -r requirements-cluster.txt")

NODES = Path(__file__).with_name("three_nodes.py")
NOTED = """
_main = main


def main(layout: Layout, name: str, fold: int = 0) -> None:
    _main(layout, name, fold)
    with open({ends!r}, "a") as file:
        file.write(f"{{name}}-{{fold}}\\n")
"""


def test_a_fleet_of_three_nodes_loses_one_and_trains_nothing_twice(clone, tiny_params, tmp_path):
    tiny_params["folds"], tiny_params["prepare"]["folds"] = [0, 1, 2], 3
    tiny_params["train"]["training"] = {"epochs": 2, "batch_size": 16}
    tiny_params["runs"] = {name: {"model": "linear", "parameters": {"frames": 10}} for name in "abcd"}
    tiny_params["fleet"] = {"folder": str(tmp_path / "workers")}
    project, ends = clone(tmp_path / "project", tiny_params), tmp_path / "ends"
    with (project.root / "pipeline" / "stages" / "train.py").open("a") as file:
        file.write(NOTED.format(ends=str(ends)))
    project.dvc("remote", "add", "--default", "storage", "../storage")
    output = project.run(sys.executable, str(NODES), str(ends))
    assert "16 of 16" in output
    assert Counter(ends.read_text().split()) == {f"{name}-{fold}": 1 for name in "abcd" for fold in range(3)}
    output = project.run(*REPRO)
    assert stages_run(output) == []
    assert "Data and pipelines are up to date." in output
