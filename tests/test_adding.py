"""docs/adding.md: the model on that page is added to a project as a user would, and nothing else is touched."""

import re
from pathlib import Path

import yaml

from pipeline.files import read_json
from pipeline.scoring import submission

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "adding.md").read_text(encoding="utf-8")
MODEL = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1]
RUNS = yaml.safe_load(re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[1])["runs"]
COMMAND = re.search(r"```sh\n(.*?)\n```", PAGE, re.DOTALL)[1]


def test_the_model_is_short():
    assert len([line for line in MODEL.splitlines() if line.strip()]) < 40


def test_a_model_is_one_file_and_an_entry_in_params(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    (project.root / "pipeline" / "models" / "perceptron.py").write_text(MODEL)
    project.configure(lambda params: params["runs"].update(RUNS))
    before = project.layout.model("ast").stat().st_mtime_ns
    output = project.run(*COMMAND.split())
    assert project.layout.model("ast").stat().st_mtime_ns == before
    assert "epoch  10 " in output

    about = read_json(project.layout.model("perceptron") / "run.json")
    assert about["parameters"] == {"hidden": 128}
    assert read_json(project.layout.submission("perceptron") / "metrics.json")["accuracy"] > 1 / 12
    sample = submission.read_sample(project.layout.prepare / "sample.csv")
    submission.check(project.layout.submission("perceptron") / "submission.csv", sample, about["labels"])
