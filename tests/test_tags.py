"""Several labels a clip, from FSD50K's files to figures: check, prepare in segments, train, predict, decide, vote."""

import csv
from pathlib import Path

import numpy as np
import pandas
import pytest
import soundfile
import yaml

from pipeline import runs
from pipeline.clips.corpus import Corpus
from pipeline.errors import PipelineError
from pipeline.files import read_json
from pipeline.jobs.listening import Listener, measured
from pipeline.layout import Layout
from pipeline.listening.spotting import Spotting
from pipeline.scoring.probabilities import Probabilities
from pipeline.stages import check, decide, download, ensemble, predict, prepare, report, train
from tests.conftest import page_values

PROFILE = Path(__file__).resolve().parents[1] / "profiles" / "fsd50k.yaml"
RATE_HZ = 44_100
SOUNDS = ["Bass", "Beep", "Hiss"]
CLIPS = {"train": 50, "val": 20, "eval": 24}


def sound(held: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return 0.4 to 2.6 s of the sounds that are held, each in places only, as in recordings of the world."""
    seconds = np.arange(round(rng.uniform(0.4, 2.6) * RATE_HZ)) / RATE_HZ
    parts = [
        np.sin(2 * np.pi * rng.uniform(150, 300) * seconds),
        np.sin(2 * np.pi * rng.uniform(2000, 3000) * seconds) * (np.sin(2 * np.pi * 4 * seconds) > 0),
        rng.uniform(-0.3, 0.3, len(seconds)),
    ]
    return 0.25 * sum((part for part, is_held in zip(parts, held, strict=True) if is_held), rng.normal(0, 1e-3))


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """A finished project over a small FSD50K, with the runs of the profile made small."""
    root = tmp_path_factory.mktemp("tags")
    rng = np.random.default_rng(0)
    truth = root / "FSD50K" / "FSD50K.ground_truth"
    truth.mkdir(parents=True)
    pandas.DataFrame([(i, name, f"/m/{i}") for i, name in enumerate(SOUNDS)]).to_csv(
        truth / "vocabulary.csv", header=False, index=False
    )
    tables: dict[str, list[dict[str, str]]] = {"dev": [], "eval": []}
    for split, count in CLIPS.items():
        part = "eval" if split == "eval" else "dev"
        (truth.parent / f"FSD50K.{part}_audio").mkdir(exist_ok=True)
        for _ in range(count):
            held = rng.random(3) < 0.5
            held[rng.integers(3)] = True
            name = str(10_000 + sum(map(len, tables.values())))
            soundfile.write(truth.parent / f"FSD50K.{part}_audio" / f"{name}.wav", sound(held, rng), RATE_HZ, "PCM_16")
            labels = [SOUNDS[place] for place in np.flatnonzero(held)]
            row = {"fname": name, "labels": ",".join(labels), "mids": ",".join("/m/0" for _ in labels)}
            tables[part].append(row | ({"split": split} if part == "dev" else {}))
    for part, rows in tables.items():
        pandas.DataFrame(rows).to_csv(truth / f"{part}.csv", index=False, quoting=csv.QUOTE_MINIMAL)

    params = yaml.safe_load(PROFILE.read_text())
    params["download"]["folder"] = str(truth.parent)
    params["train"]["training"] |= {"epochs": 6, "batch_size": 8, "learning_rate": 0.01}
    params["runs"] = {
        name: {
            "model": "bag_of_codes",
            "parameters": {
                "codes": 8,
                "hidden": 32,
                "masked_share": runs.entry(params, name)["parameters"]["masked_share"],
                "learning": {"width": 16, "vectors": 300, "epochs": 2, "batch_size": 32},
            },
        }
        for name in ("bag-of-codes-256", "bag-of-codes-256-masked")
    }
    layout = Layout(root)
    layout.params.write_text(yaml.safe_dump(params))
    for stage in (check, download, prepare):
        stage.main(layout)
    for run in params["runs"]:
        for step in (train, predict, decide):
            step.main(layout, run)
    ensemble.main(layout)
    return layout


def test_segments_inherit_labels_and_splits(layout):
    corpus = Corpus.open(layout.prepare)
    rows = corpus.rows
    assert corpus.vocabulary.commands == ()
    recordings = rows.groupby("split")["recording"].nunique()
    assert recordings.to_dict() == {"train": CLIPS["train"], "validation": CLIPS["val"], "holdout": CLIPS["eval"]}
    assert len(rows) > 1.2 * sum(CLIPS.values())
    assert rows.groupby("recording")["tags"].agg(lambda tags: len(set(map(tuple, tags)))).eq(1).all()


@pytest.mark.parametrize("run", ["bag-of-codes-256", "bag-of-codes-256-masked"])
def test_a_run_is_judged_by_clip_on_the_mean_of_its_segments(layout, run):
    metrics = read_json(layout.submission(run) / "metrics.json")
    estimate, holdout = metrics["estimate"], metrics["holdout"]
    assert (estimate["clips"], holdout["clips"]) == (CLIPS["val"], CLIPS["eval"])
    # Tags at random would come to the labels' shares, two thirds.
    assert estimate["map"] > 0.78  # of 20 clips, by epochs that were chosen on half of them
    assert holdout["map"] > 0.8
    assert "accuracy" not in estimate
    judged = Probabilities.read(layout.run(run).probabilities / "out_of_fold.parquet")
    assert judged.labels == SOUNDS
    assert judged.values.sum(axis=1).std() > 0.1  # no shares of one
    bars = pandas.read_csv(layout.submission(run) / "confusion.csv")
    assert bars["average_precision"].mean() == pytest.approx(estimate["map"], abs=1e-4)
    assert (layout.run(run).live(0) / "plots" / "metrics" / "validation" / "map.tsv").exists()


def test_the_runs_are_voted_on(layout):
    assert read_json(layout.submission("ensemble") / "metrics.json")["estimate"]["map"] > 0.8


def test_words_in_noise_are_not_counted_of_clips_with_several_labels(layout):
    corpus = Corpus.open(layout.prepare).fingerprint
    listener = Listener("bag-of-codes-256", lambda: None, SOUNDS, "torch", 0, corpus)
    with pytest.raises(PipelineError, match="clips of 'bag-of-codes-256' may have several"):
        measured(layout, listener, Spotting(), 0.1)


def test_the_page_shows_precisions_by_label_in_place_of_a_matrix_and_errors_to_hear(layout):
    report.main(layout)
    told = page_values(layout.report, "told")
    run = told["runs"][told["lead"]]
    assert [each["label"] for each in run["precisions"]] == SOUNDS
    assert "counts" not in run
    assert run["calibration_error"] > 0
    assert told["errors"]["tags"]
    assert told["errors"]["worst"]
    assert told["runs"]["bag-of-codes-256"]["curves"]["score"]
    assert [row["label"] for row in told["data"]["counts"]["rows"]] == SOUNDS
