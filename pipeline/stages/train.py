"""train: fit one run's model on the corpus; killed, it goes on where it was."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from filelock import FileLock, Timeout
from pydantic import Field

from pipeline import models, params
from pipeline.clips.augmentation import Augmentation, Augmenter
from pipeline.clips.corpus import Corpus, Split
from pipeline.clips.rebalancing import Rebalancing, draw
from pipeline.errors import PipelineError
from pipeline.files import replacing_folder, write_json
from pipeline.layout import Layout
from pipeline.learners.classifier import Examples, Lesson
from pipeline.settings import Settings


class Run(Settings):
    """One entry of `runs`; the section `train` holds what all runs share, an entry overrides it key by key."""

    model: str
    vocabulary: Literal["commands", "words"] = "commands"
    parameters: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)
    augmentation: Augmentation = Augmentation()
    rebalancing: Rebalancing = Rebalancing()


def main(layout: Layout, name: str) -> None:
    """Train the run `name` and publish artifacts/train/<name>/: model (a checkpoint in the hub's format) and live.

    Raises PipelineError for bad parameters, a missing corpus or checkpoint, or a training of this run that goes on.
    """
    tree = params.read(layout.params)
    run = read_run(tree, name)
    seed = params.seed(tree)
    model = models.find(run.model)
    parameters = params.validate(run.parameters, model.Params, f"runs.{name}.parameters")
    training = params.validate(run.training, model.Training, f"runs.{name}.training")
    model.check(parameters, layout.checkpoints)
    corpus = Corpus.open(layout.prepare)

    labels = corpus.vocabulary.labels(run.vocabulary)
    lesson = lesson_of(corpus, run, labels, seed)
    about = {
        "run": name,
        "model": run.model,
        "vocabulary": run.vocabulary,
        "labels": labels,
        "parameters": parameters.model_dump(),
        "training": training.model_dump(),
        "augmentation": run.augmentation.model_dump(),
        "rebalancing": run.rebalancing.model_dump(),
        "seed": seed,
        "corpus": corpus.fingerprint,
        "versions": {package: metadata.version(package) for package in ("torch", "transformers", "audiomentations")},
    }
    # Named by all that shapes the weights, so that a changed parameter never resumes from the old one's checkpoint.
    work = layout.work(name) / params.digest(about)[:16]
    first = int(os.environ.get("RANK", "0")) == 0
    with _alone(layout.work(name), name) if first else nullcontext():
        if first:
            for other in layout.work(name).iterdir():
                if other.is_dir() and other != work:
                    _delete(other)
        work.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(seed)
        classifier = model.build(parameters, training, labels, lesson.train, layout.checkpoints)
        classifier.fit(lesson, work, work / "live")
        if not first:
            return
        with replacing_folder(layout.model(name)) as folder:
            classifier.save(folder)
            write_json(folder / "run.json", about)
        with replacing_folder(layout.live(name)) as folder:
            shutil.copytree(work / "live", folder, dirs_exist_ok=True)
        _delete(work)


def read_run(tree: dict[str, Any], name: str) -> Run:
    """Return the run `name` with the shared section `train` under it. Raises PipelineError if it is not listed."""
    runs = tree.get("runs")
    if not isinstance(runs, dict) or name not in runs:
        known = ", ".join(runs) if isinstance(runs, dict) else "none"
        raise PipelineError(f"params.yaml lists no run '{name}'. Runs: {known}. Add it under 'runs:'.")
    shared, own = tree.get("train") or {}, runs[name]
    if not isinstance(own, dict) or not isinstance(shared, dict):
        raise PipelineError(f"params.yaml: 'train' and 'runs.{name}' must hold keys and values; found {own!r}.")
    merged = {**shared, **own}
    for key in shared.keys() & own.keys():
        if isinstance(shared[key], dict) and isinstance(own[key], dict):
            merged[key] = {**shared[key], **own[key]}
    return params.validate(merged, Run, f"runs.{name}")


def lesson_of(corpus: Corpus, run: Run, labels: list[str], seed: int) -> Lesson:
    """Return what the run learns from: the training and validation clips of the corpus, labelled by its vocabulary.

    Raises PipelineError if a split has no clip.
    """

    def examples(split: Split) -> Examples:
        rows = corpus.select(split)
        if len(rows) == 0:
            raise PipelineError(
                f"The corpus in {corpus.folder} has no clip in the split '{split}'. See prepare.splits."
            )
        words = corpus.rows["word"].to_numpy()[rows]
        indices = {label: index for index, label in enumerate(labels)}
        targets = np.array([indices[corpus.vocabulary.label_of(word, run.vocabulary)] for word in words])
        return Examples(read=corpus.samples, rows=rows, targets=targets)

    train = examples("train")
    drawn_labels = np.array(labels)[train.targets]
    words = corpus.rows["word"].to_numpy()[train.rows]
    noises = [noise.samples for noise in corpus.noises("train")]
    return Lesson(
        train=train,
        validation=examples("validation"),
        draw=lambda epoch: draw(drawn_labels, words, run.rebalancing, epoch, seed),
        augment=Augmenter(run.augmentation, noises),
        seed=seed,
    )


def _delete(folder: Path) -> None:
    """Delete checkpoints; killed halfway, what is left is not taken for one to resume from."""
    doomed = folder.with_suffix(".deleted")
    folder.replace(doomed)
    shutil.rmtree(doomed)


@contextmanager
def _alone(folder: Path, name: str) -> Iterator[None]:
    """Hold the run's lock; the system gives it up when the process dies, however it dies."""
    folder.mkdir(parents=True, exist_ok=True)
    lock, holder = FileLock(folder / "lock"), folder / "pid"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise PipelineError(
            f"Another training of '{name}' is going on. Killing `dvc repro` alone leaves it running.\n"
            f"Wait for it, or stop it with: kill {holder.read_text()}"
        ) from None
    holder.write_text(str(os.getpid()))
    try:
        yield
    finally:
        lock.release()
