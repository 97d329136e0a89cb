"""One training from start to end: what it learns from, its lock, its checkpoints, and what is published at last."""

import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from pipeline import code, params, runs
from pipeline.clips.corpus import Corpus
from pipeline.errors import PipelineError
from pipeline.examples.from_corpus import SoftLabels, training_data_of
from pipeline.examples.target import Target, target_of
from pipeline.examples.training_data import TrainingData
from pipeline.features.hidden_states import HiddenStates
from pipeline.files import read_json, replacing_folder, write_json
from pipeline.jobs import LEARNT, LOCK
from pipeline.jobs.recipes import Reader, Recipe, Run, build, input_kind, reader_of, recipes_of
from pipeline.layout import Layout
from pipeline.learners import epochs
from pipeline.learners.checkpoints import weights_of
from pipeline.learners.classifier import Watch
from pipeline.learners.clock import Clock
from pipeline.learners.detector import FOLDER, groups_of
from pipeline.learners.neural_classifier import NeuralClassifier
from pipeline.locks import held_or_refused

PACKAGES = ("torch", "transformers", "audiomentations")


@dataclass(frozen=True)
class Publication:
    """Where a training keeps its checkpoints until it has ended, and where it leaves its model, curves and time."""

    work: Path
    model: Path
    live: Path
    timing: Path


@dataclass(frozen=True)
class Work:
    """One training, checked: all that it needs to begin. `about` is what run.json will tell of it."""

    recipes: list[Recipe]
    target: Target
    data: TrainingData
    about: dict[str, Any]
    seed: int
    checkpoints: Path
    to: Publication

    @cached_property
    def identity(self) -> str:
        """The digest of all that shapes the weights: settings, data, versions and code."""
        return params.digest({**runs.shaping(self.about), "code": self._code})

    @cached_property
    def folder(self) -> Path:
        """Where its checkpoints are, named by its identity: it never goes on with those of another."""
        return self.to.work / self.identity[:16]

    @property
    def is_learnt(self) -> bool:
        """Whether there is nothing left to learn, only to publish."""
        return (self.folder / LEARNT).exists()

    @property
    def is_published(self) -> bool:
        path, timing = self.to.model / "run.json", self.to.timing
        # By their digests, for JSON has lists where settings have tuples.
        told, about = (runs.shaping(each) for each in (read_json(path) if path.exists() else {}, self.about))
        if params.digest(told) != params.digest(about):
            return False
        return not timing.exists() or read_json(timing).get("code", self._code) == self._code

    @cached_property
    def _code(self) -> str:
        return code.digest(["stages.train", *(f"models.{recipe.name}" for recipe in self.recipes)])

    def learn(self, watch: Watch | None = None, beside: AbstractContextManager[object] | None = None) -> None:
        """Train, and publish. `beside` is entered for as long as this learns and publishes, if there is work to do.

        `watch` sees the figure of each epoch, if it is one network that learns. Raises PipelineError if a training of
        this run and fold goes on, and what the model's `fit` raises.
        """
        with nullcontext() if beside is None or self.is_learnt else beside, self._learnt(watch) as learnt:
            if learnt is None:
                return
            classifier, seconds = learnt
            with replacing_folder(self.to.model) as folder:
                classifier.save(folder)
                write_json(folder / "run.json", self.about)
                epochs.publish(self.folder, folder)
                if len(self.recipes) > 1:
                    epochs.publish(self.folder / FOLDER, folder / FOLDER)
            with replacing_folder(self.to.live) as folder:
                (self.folder / "live").mkdir(exist_ok=True)
                shutil.copytree(self.folder / "live", folder, dirs_exist_ok=True)
            time = {"seconds": seconds, "clips": len(self.data.train.rows), "code": self._code}
            write_json(self.to.timing, {**time, "run": params.digest(self.about)})
            _delete(self.folder)

    def learn_ahead(self) -> None:
        """Train, and leave the checkpoints to `learn`. Raises as it does."""
        if not self.is_learnt:
            with self._learnt(None):
                (self.folder / LEARNT).touch()

    def _alone(self) -> AbstractContextManager[None]:
        return held_or_refused(
            self.to.work / LOCK,
            f"Another training of '{self.about['run']}, fold {self.about['fold']}'",
            "Killing `dvc repro` alone leaves it running: wait for it, or stop that process with `kill`.",
        )

    @contextmanager
    def _learnt(self, watch: Watch | None) -> Iterator[tuple[Any, float] | None]:
        """Yield the trained classifier and the seconds that it took; None in all processes but the first."""
        folder, first = self.folder, int(os.environ.get("RANK", "0")) == 0
        with self._alone() if first else nullcontext():
            if first:
                for other in self.to.work.iterdir():
                    if other.is_dir() and other != folder:
                        _delete(other)
                if self.data.note and not self.is_learnt:
                    print(self.data.note, flush=True)
            folder.mkdir(parents=True, exist_ok=True)
            torch.manual_seed(self.seed)
            clock = Clock(folder / "seconds.json")
            # One process writes it: another, that ends later, would write into the folder that this one has deleted.
            with clock if first else nullcontext():
                classifier = build(self.recipes, self.target.labels, self.data.train, self.checkpoints)
                if isinstance(classifier, NeuralClassifier):
                    classifier.watch = watch
                classifier.fit(self.data, folder, folder / "live")
            yield (classifier, clock.seconds) if first else None


def work_of(
    layout: Layout,
    corpus: Corpus,
    run: Run,
    name: str,
    where: str,
    fold: int,
    seed: int,
    to: Publication,
    soft: SoftLabels | None = None,
) -> Work:
    """Return the training of the run called `name`, which stands in params.yaml at `where`, for one fold of the corpus.

    `seed` is the project's, to which the run's own is added. Raises PipelineError as `stages.train`.
    """
    seed += run.seed
    if not 0 <= fold < corpus.folds:
        raise PipelineError(
            f"The corpus in {corpus.folder} has {corpus.folds} fold(s), numbered from 0; there is no fold {fold}.\n"
            "Change `folds` or prepare.folds in params.yaml."
        )
    recipes = recipes_of(run, where)
    for each in recipes:
        each.model.check(each.parameters, layout.checkpoints)
        if (checkpoint := getattr(each.parameters, "checkpoint", None)) is not None:
            _refuse_judges(fold_learnt(Path(checkpoint).expanduser(), corpus), fold, where)
        reader_of(layout.encode, corpus, each.name)  # refuses what it cannot read
    target = target_of(corpus, run)
    if len(recipes) > 1:
        groups_of(target.labels)  # refuses what a detector cannot tell
    read = reader_of(layout.encode, corpus, run.model)
    if isinstance(read, HiddenStates):
        _refuse_judges(read.about.get("fold_learnt"), fold, where)
    if input_kind(corpus, run.model) != "samples":
        _refuse_looks(run, where)
    length = getattr(recipes[0].training, "epochs", 1)
    data = training_data_of(corpus, fold, run, target, read, run.augmentation, run.rebalancing, seed, soft, length)
    about = _about(run, name, recipes, layout.checkpoints, target, corpus, fold, seed, read, soft)
    return Work(recipes, target, data, about, seed, layout.checkpoints, to)


def fold_learnt(checkpoint: Path, corpus: Corpus) -> int | None:
    """Return the fold of `corpus` whose net the folder holds, None where it is no net that learnt from this corpus."""
    path = checkpoint / "run.json"
    told = read_json(path) if path.is_file() else {}
    return told.get("fold") if told.get("corpus") == corpus.fingerprint else None


def _refuse_judges(learnt: int | None, fold: int, where: str) -> None:
    """Raise PipelineError for a checkpoint of this corpus that learnt from the clips that judge the fold."""
    if learnt not in (None, fold):
        raise PipelineError(
            f"{where}: its checkpoint was trained here, for fold {learnt}, on the clips that judge fold {fold}: the "
            f"estimate would be far too high.\nTrain fold {learnt} alone (folds: [{learnt}]), or take a checkpoint "
            "that has not heard them."
        )


def _refuse_looks(run: Run, where: str) -> None:
    if not all(look.is_bare for look in run.looks):
        raise PipelineError(
            f"params.yaml, section {where}: `looks` move clips of samples, and the model '{run.model}' is given none "
            "here. Delete `looks`."
        )


def _about(
    run: Run,
    name: str,
    recipes: list[Recipe],
    store: Path,
    target: Target,
    corpus: Corpus,
    fold: int,
    seed: int,
    read: Reader,
    soft: SoftLabels | None,
) -> dict[str, Any]:
    """Return what run.json tells of a training: all that shapes its weights, those of a checkpoint by their SHA-256."""
    recipe, *detectors = recipes

    def told(recipe: Recipe) -> dict[str, Any]:
        start = recipe.model.checkpoint_of(recipe.parameters, store)
        return recipe.about if start is None else {**recipe.about, "checkpoint_weights": weights_of(start)}

    return {
        "run": name,
        "fold": fold,
        "model": run.model,
        "inputs": input_kind(corpus, run.model),
        "target": run.target,
        "vocabulary": run.vocabulary,
        "presence": run.presence and run.presence.model_dump(),
        "labels": target.labels,
        "exclusive": target.exclusive,
        **told(recipe),
        "detector": {"model": detectors[0].name, **told(detectors[0])} if detectors else None,
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
