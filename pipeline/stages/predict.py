"""predict: one run's probabilities of every clip that is judged, as Parquet; memory stays flat."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pipeline import models, params
from pipeline.clips.corpus import Corpus, Split
from pipeline.errors import PipelineError
from pipeline.files import read_json, replacing_folder, write_json
from pipeline.layout import Layout
from pipeline.learners.classifier import Classifier, Composite
from pipeline.learners.detector import FOLDER, WithDetector
from pipeline.reporting.target_report import PARTS
from pipeline.scoring import probabilities
from pipeline.stages.train import read_run, reader_of

SPLITS: tuple[Split, ...] = ("validation", "testing", "test")
Reader = Callable[[NDArray[np.int64]], NDArray[Any]]
CHUNK_CLIPS = 2_048  # 64 MB of samples at a time


def main(layout: Layout, name: str) -> None:
    """Write artifacts/predict/<name>/<split>.parquet for the splits that the corpus has; of a vote, parts/ too.

    Raises PipelineError if the run is not listed, not trained, or was trained on another corpus's labels.
    """
    tree = params.read(layout.params)
    corpus = Corpus.open(layout.prepare)
    about = trained(layout, tree, name)
    classifier = restored(layout, tree, about)
    read = reader_of(layout, corpus, about["model"])
    clips, seconds = 0, 0.0
    with replacing_folder(layout.probabilities(name)) as temporary:
        for split in SPLITS:
            rows = corpus.select(split)
            # A test split that is not there has a table too, of no clips, for what comes after.
            if len(rows) or split == "test":
                start = time.monotonic()
                _write(temporary, classifier, corpus, rows, read, name, split)
                clips, seconds = clips + len(rows), seconds + time.monotonic() - start
    write_json(layout.timing(name, "predict"), {"seconds": round(seconds, 2), "clips": clips})


def trained(layout: Layout, tree: dict[str, Any], name: str) -> dict[str, Any]:
    """Return what run.json tells of the run `name`. Raises PipelineError if it is not listed or not trained."""
    read_run(tree, name)
    path = layout.model(name) / "run.json"
    try:
        about: dict[str, Any] = read_json(path)
    except FileNotFoundError:
        raise PipelineError(f"The run '{name}' is not trained: no {path}. Run: dvc repro train@{name}") from None
    return about


def restored(layout: Layout, tree: dict[str, Any], about: dict[str, Any]) -> Classifier:
    """Return the classifier of the trained run that `about` tells of, with the `training` that params.yaml gives now.

    Raises PipelineError if its weights have other labels.
    """
    name, folder = about["run"], layout.model(about["run"])
    model = models.find(about["model"])
    training = params.validate(read_run(tree, name).training, model.Training, f"runs.{name}.training")
    classifier: Classifier = model.restore(folder, training)
    if about.get("detector") is not None:
        apart = models.find(about["detector"]["model"])
        of_detector = params.validate(about["detector"]["training"], apart.Training, f"runs.{name}.detector.training")
        classifier = WithDetector(classifier, apart.restore(folder / FOLDER, of_detector))
    if classifier.labels != about["labels"]:
        raise PipelineError(f"{folder}: the weights' labels are not those of run.json. Run: dvc repro -f train@{name}")
    return classifier


def _write(
    folder: Path, classifier: Classifier, corpus: Corpus, rows: np.ndarray, read: Reader, run: str, split: str
) -> None:
    clips = corpus.rows["recording"].fillna(corpus.rows["clip"])
    parts = classifier.parts if isinstance(classifier, Composite) else []
    with ExitStack() as stack:
        tables = [
            stack.enter_context(
                probabilities.writing(
                    where / f"{split}.parquet",
                    classifier.labels,
                    run,
                    corpus.fingerprint,
                    exclusive=not classifier.multi_label,
                )
            )
            for where in (folder, *(folder / PARTS / part for part in parts))
        ]
        progress = stack.enter_context(tqdm(total=len(rows), desc=f"{run} {split}", unit="clip"))
        for chunk in _chunks(rows, clips.to_numpy()):
            # A recording in pieces is judged by the mean of what its pieces are.
            names, first, pieces = np.unique(clips.iloc[chunk].to_numpy(), return_index=True, return_counts=True)
            for table, values in zip(tables, _values(classifier, read(chunk)), strict=True):
                if len(names) < len(chunk):
                    order = np.argsort(first)
                    means = np.add.reduceat(values, first[order], axis=0) / pieces[order, None]
                    table.append(names[order].tolist(), means)
                else:
                    table.append(clips.iloc[chunk].tolist(), values)
            progress.update(len(chunk))


def _values(classifier: Classifier, inputs: NDArray[Any]) -> list[NDArray[np.float32]]:
    """Return the probabilities [clips, labels], and after them those of each part of a vote."""
    if not isinstance(classifier, Composite):
        return [classifier.predict_proba(inputs)]
    parts = classifier.predict_parts(inputs)
    return [classifier.combine(parts), *parts]


def _chunks(rows: np.ndarray, clips: np.ndarray) -> Iterator[np.ndarray]:
    """Yield stretches of rows, none of which ends between two pieces of a recording."""
    start = 0
    while start < len(rows):
        end = min(start + CHUNK_CLIPS, len(rows))
        while end < len(rows) and clips[rows[end]] == clips[rows[end - 1]]:
            end += 1
        yield rows[start:end]
        start = end
