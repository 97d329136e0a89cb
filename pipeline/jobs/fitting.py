"""One training from start to end: what it learns from, its lock, its checkpoints, and what is published at last."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout

from pipeline import params
from pipeline.clips.corpus import Corpus
from pipeline.errors import PipelineError
from pipeline.examples.from_corpus import SoftLabels, training_data_of
from pipeline.examples.target import Target, target_of
from pipeline.features.hidden_states import HiddenStates
from pipeline.files import replacing_folder, write_json
from pipeline.jobs.recipes import Reader, Recipe, Run, build, input_kind, reader_of, recipes_of
from pipeline.learners import epochs
from pipeline.learners.classifier import Watch
from pipeline.learners.clock import Clock
from pipeline.learners.detector import groups_of
from pipeline.learners.neural_classifier import NeuralClassifier

PACKAGES = ("torch", "transformers", "audiomentations")


@dataclass(frozen=True)
class Publication:
    """Where a training keeps its checkpoints until it has ended, and where it leaves its model, curves and time."""

    work: Path
    model: Path
    live: Path
    timing: Path


def fit(
    run: Run,
    where: str,
    corpus: Corpus,
    fold: int,
    seed: int,
    encoded: Path,
    checkpoints: Path,
    to: Publication,
    soft: SoftLabels | None = None,
    watch: Watch | None = None,
) -> None:
    """Train `run`, an entry of params.yaml called `where`, for one fold of the corpus; publish it.

    `encoded` holds hidden states, `checkpoints` published ones. `watch` sees the figure of each epoch, if it is one
    network that learns. Raises PipelineError as `stages.train`.
    """
    if not 0 <= fold < corpus.folds:
        raise PipelineError(
            f"The corpus in {corpus.folder} has {corpus.folds} fold(s), numbered from 0; there is no fold {fold}.\n"
            "Change `folds` or prepare.folds in params.yaml."
        )
    recipes = recipes_of(run, where)
    for each in recipes:
        each.model.check(each.parameters, checkpoints)
        reader_of(encoded, corpus, each.name)  # refuses what it cannot read
    target = target_of(corpus, run)
    if len(recipes) > 1:
        groups_of(target.labels)  # refuses what a detector cannot tell
    read = reader_of(encoded, corpus, run.model)
    if read != corpus.samples or corpus.dtype != np.int16:
        _refuse_looks(run, where)
    data = training_data_of(corpus, fold, run, target, read, run.augmentation, run.rebalancing, seed, soft)
    about = _about(run, where, recipes, target, corpus, fold, seed, read, soft)
    # Named by all that shapes the weights, so that a changed parameter never resumes from the old one's checkpoint.
    work = to.work / params.digest(about)[:16]
    first = int(os.environ.get("RANK", "0")) == 0
    with _alone(to.work, f"{about['run']}, fold {fold}") if first else nullcontext():
        if first:
            for other in to.work.iterdir():
                if other.is_dir() and other != work:
                    _delete(other)
        work.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(seed)
        with Clock(work / "seconds.json") as clock:
            classifier = build(recipes, target.labels, data.train, checkpoints)
            if isinstance(classifier, NeuralClassifier):
                classifier.watch = watch
            classifier.fit(data, work, work / "live")
        if not first:
            return
        with replacing_folder(to.model) as folder:
            classifier.save(folder)
            write_json(folder / "run.json", about)
            epochs.publish(work, folder)
        with replacing_folder(to.live) as folder:
            (work / "live").mkdir(exist_ok=True)
            shutil.copytree(work / "live", folder, dirs_exist_ok=True)
        write_json(to.timing, {"seconds": clock.seconds, "clips": len(data.train.rows)})
        _delete(work)


def _refuse_looks(run: Run, where: str) -> None:
    if not all(look.is_bare for look in run.looks):
        raise PipelineError(
            f"params.yaml, section {where}: `looks` move clips of samples, and the model '{run.model}' is given none "
            "here. Delete `looks`."
        )


def _about(
    run: Run,
    where: str,
    recipes: list[Recipe],
    target: Target,
    corpus: Corpus,
    fold: int,
    seed: int,
    read: Reader,
    soft: SoftLabels | None,
) -> dict[str, Any]:
    """Return all that shapes the weights, as run.json tells it."""
    recipe, *detectors = recipes
    return {
        "run": where.removeprefix("runs."),
        "fold": fold,
        "model": run.model,
        "inputs": input_kind(corpus, run.model),
        "target": run.target,
        "vocabulary": run.vocabulary,
        "presence": run.presence and run.presence.model_dump(),
        "labels": target.labels,
        "exclusive": target.exclusive,
        **recipe.about,
        "detector": {"model": detectors[0].name, **detectors[0].about} if detectors else None,
        "augmentation": run.augmentation.model_dump(),
        "rebalancing": run.rebalancing.model_dump(),
        "pseudo_labels": None if soft is None else {**soft.settings.model_dump(), "sha256": soft.digest},
        "seed": seed,
        "corpus": corpus.fingerprint,
        "hidden_states": read.about if isinstance(read, HiddenStates) else None,
        "versions": {package: metadata.version(package) for package in PACKAGES},
    }


def _delete(folder: Path) -> None:
    """Delete checkpoints; killed halfway, what is left is not taken for one to resume from."""
    doomed = folder.with_suffix(".deleted")
    folder.replace(doomed)
    shutil.rmtree(doomed)


@contextmanager
def _alone(folder: Path, name: str) -> Iterator[None]:
    """Hold the lock of a run's fold; the system gives it up when the process dies, however it dies."""
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
