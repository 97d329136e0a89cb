"""docs/adding.md, followed to the letter: each listing is put where the page says, and run."""

import re
from itertools import product
from pathlib import Path

import numpy as np
import pandas
import pytest
import soundfile
import yaml

from pipeline.clips.corpus import Corpus
from pipeline.examples.augmentation import Augmentation
from pipeline.files import read_json
from pipeline.scoring import submission

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "adding.md").read_text(encoding="utf-8")
PARTS = dict(re.findall(r"^## (?:A|An) (\w+)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))


def listing(part: str, language: str) -> str:
    return re.search(rf"```{language}\n(.*?)```", PARTS[part], re.DOTALL)[1]


def entry(part: str) -> dict:
    return yaml.safe_load(listing(part, "yaml"))


def command(part: str) -> list[str]:
    return listing(part, "sh").split()


def save(project, part: str) -> None:
    """Save the page's file under the name that the page says."""
    name = re.search(r"`(pipeline/\w+/\w+\.py)`", PARTS[part].split("```python")[0])[1]
    (project.root / name).write_text(listing(part, "python"))


def test_the_page_has_four_ways() -> None:
    assert list(PARTS) == ["model", "source", "augmentation", "stage"]


@pytest.mark.parametrize("part", ["model", "source", "stage"])
def test_a_file_is_short(part: str) -> None:
    assert len([line for line in listing(part, "python").splitlines() if line.strip()]) < 40


def test_a_model_is_one_file_and_an_entry_in_params(finished, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "project")
    save(project, "model")
    project.configure(lambda params: params["runs"].update(entry("model")["runs"]))
    ast, perceptron = project.layout.run("ast").model(0), project.layout.run("perceptron").model(0)
    before = ast.stat().st_mtime_ns
    output = project.run(*command("model"))
    assert ast.stat().st_mtime_ns == before
    assert "epoch  10 " in output

    about = read_json(perceptron / "run.json")
    assert about["parameters"] == {"hidden": 128}
    sample = submission.read_sample(project.layout.prepare / "sample.csv")
    submission.check(project.layout.submission("perceptron") / "submission.csv", sample, about["labels"])


def test_a_source_is_one_file_and_an_entry_in_params(clone, tiny_params, tmp_path: Path) -> None:
    project = clone(tmp_path / "project", {**tiny_params, **entry("source")})
    save(project, "source")
    folder = project.root / entry("source")["download"]["folder"]
    for word, speaker in product(("left", "right", "cat", "_background_noise_"), ("ann", "bob", "cy", "di", "ed")):
        path = folder / word / f"{speaker}-0.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.random.default_rng(len(word)).uniform(-0.1, 0.1, 48_000), 16_000)
    for strange in ("left-9.wav", "left/deep/ann-9.wav", "left/notes.txt"):
        (folder / strange).parent.mkdir(exist_ok=True)
        (folder / strange).write_bytes(b"")
    project.run(*command("source"))
    left_out = pandas.read_csv(project.layout.prepare / "quarantine.csv").query("action == 'excluded'")
    assert sorted(left_out["clip"]) == ["left-9.wav", "left/deep/ann-9.wav", "left/notes.txt"]
    corpus = Corpus.open(project.layout.prepare)
    assert {"left", "right", "cat"} <= set(corpus.rows["word"])
    assert set(corpus.rows["speaker"].dropna()) == {"ann", "bob", "cy", "di", "ed"}
    assert corpus.rows["noise_source"].str.startswith("_background_noise_").any()


def test_an_augmentation_is_an_entry_in_params() -> None:
    entries = Augmentation(entry("augmentation")["train"]["augmentation"]).model_dump()
    assert entries[:-1] == Augmentation().model_dump()  # as the page says
    assert list(entries[-1]) == ["LowPassFilter"]


def test_a_stage_is_one_file_and_an_entry_for_dvc(finished, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "project")
    save(project, "stage")
    assert "Count the clips of each word" in project.run(*command("stage")[:3], "--help")
    project.run(*command("stage"))
    path = project.layout.artifacts / "census.csv"
    counts = pandas.read_csv(path)
    path.unlink()
    flow = yaml.safe_load((project.root / "dvc.yaml").read_text())
    flow["stages"].update(entry("stage"))
    (project.root / "dvc.yaml").write_text(yaml.safe_dump(flow, sort_keys=False))
    project.dvc("repro", "census")
    pandas.testing.assert_frame_equal(pandas.read_csv(path), counts)
    assert counts["clips"].sum() == (Corpus.open(project.layout.prepare).rows["part"] == "train").sum()
