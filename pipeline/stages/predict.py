"""predict: one run's probabilities of every clip that is judged, as Parquet; memory stays flat."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pipeline import models, params
from pipeline.clips.corpus import Corpus, Split
from pipeline.errors import PipelineError
from pipeline.files import read_json, replacing_folder
from pipeline.layout import Layout
from pipeline.learners.classifier import Classifier
from pipeline.scoring import probabilities
from pipeline.stages.train import read_run

SPLITS: tuple[Split, ...] = ("validation", "testing", "test")
CHUNK_CLIPS = 2_048  # 64 MB of samples at a time


def main(layout: Layout, name: str) -> None:
    """Write artifacts/predict/<name>/<split>.parquet for the splits that the corpus has.

    Raises PipelineError if the run is not listed, not trained, or was trained on another corpus's labels.
    """
    run = read_run(params.read(layout.params), name)
    corpus = Corpus.open(layout.prepare)
    folder = layout.model(name)
    try:
        about = read_json(folder / "run.json")
    except FileNotFoundError:
        raise PipelineError(
            f"The run '{name}' is not trained: no {folder}/run.json. Run: dvc repro train@{name}"
        ) from None
    model = models.find(about["model"])
    training = params.validate(run.training, model.Training, f"runs.{name}.training")
    classifier = model.restore(folder, training)
    if classifier.labels != about["labels"]:
        raise PipelineError(f"{folder}: the weights' labels are not those of run.json. Run: dvc repro -f train@{name}")
    with replacing_folder(layout.probabilities(name)) as temporary:
        for split in SPLITS:
            rows = corpus.select(split)
            if len(rows):
                _write(temporary / f"{split}.parquet", classifier, corpus, rows, name, split)


def _write(path: Path, classifier: Classifier, corpus: Corpus, rows: np.ndarray, run: str, split: str) -> None:
    clips = corpus.rows["clip"]
    with (
        probabilities.writing(path, classifier.labels, run, corpus.fingerprint) as table,
        tqdm(total=len(rows), desc=f"{run} {split}", unit="clip") as progress,
    ):
        for chunk in _chunks(rows):
            table.append(clips.iloc[chunk].tolist(), classifier.predict_proba(corpus.samples(chunk)))
            progress.update(len(chunk))


def _chunks(rows: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), CHUNK_CLIPS):
        yield rows[start : start + CHUNK_CLIPS]
