"""train: fit one run's model on the corpus; killed, it goes on where it was."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from pydantic import Field

from pipeline import models, params
from pipeline.clips.corpus import Corpus, Split
from pipeline.clips.labels import Kind
from pipeline.errors import PipelineError
from pipeline.examples.augmentation import Augmentation, Augmenter
from pipeline.examples.rebalancing import Rebalancing, balanced_epoch_indices, epoch_indices
from pipeline.examples.target import Target, target_of
from pipeline.examples.training_data import Examples, TrainingData, as_float
from pipeline.features.hidden_states import HiddenStates
from pipeline.files import replacing_folder, write_json
from pipeline.layout import Layout
from pipeline.learners.classifier import Classifier
from pipeline.learners.clock import Clock
from pipeline.learners.detector import WithDetector, groups_of, in_groups
from pipeline.settings import Settings
from pipeline.stages.decide import Question


class Detector(Settings):
    """A second network, for silence and unknown alone (`pipeline.learners.detector`), on the run's own clips."""

    model: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)


class Run(Question):
    """One entry of `runs`; the section `train` holds what all runs share, an entry overrides it key by key.

    `target` is what is learnt: the word (as `vocabulary` names it), another fact of the clips, or their tags;
    `presence` makes a yes-or-no question of it. `reported` is what the system's authors tell of it, for the table of
    `compare`; it changes nothing.
    """

    model: str
    vocabulary: Kind = "commands"
    parameters: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)
    augmentation: Augmentation = Augmentation()
    rebalancing: Rebalancing = Rebalancing()
    detector: Detector | None = None
    reported: str = ""


def main(layout: Layout, name: str) -> None:
    """Train the run `name` and publish artifacts/train/<name>/: model (a checkpoint in the hub's format) and live.

    Raises PipelineError for bad parameters, a missing corpus or checkpoint, or a training of this run that goes on.
    """
    tree = params.read(layout.params)
    places = Places(f"runs.{name}", layout.work(name), layout.model(name), layout.live(name))
    fit(layout, read_run(tree, name), name, params.seed(tree), places)


@dataclass(frozen=True)
class Places:
    """The section of params.yaml; the folders of an unfinished training, and of what is published at its end."""

    section: str
    work: Path
    model: Path
    live: Path


def fit(layout: Layout, run: Run, name: str, seed: int, places: Places) -> None:
    """Train `run` and publish it to `places`; see `main`."""
    recipe, *detectors = recipes_of(run, places.section)
    for each in (recipe, *detectors):
        each.model.check(each.parameters, layout.checkpoints)
    corpus = Corpus.open(layout.prepare)

    target = target_of(corpus, run.target, run.vocabulary, run.presence)
    if detectors:
        groups_of(target.labels)  # refuses what a detector cannot tell
        reader_of(layout, corpus, detectors[0].name)  # and what it cannot read
    read = reader_of(layout, corpus, run.model)
    data = training_data_of(corpus, run, target, read, seed)
    about = {
        "run": name,
        "model": run.model,
        "inputs": inputs_of(corpus, run.model),
        "target": run.target,
        "vocabulary": run.vocabulary,
        "presence": run.presence and run.presence.model_dump(),
        "labels": target.labels,
        "multi_label": target.multi_label,
        **recipe.about,
        "detector": {"model": detectors[0].name, **detectors[0].about} if detectors else None,
        "augmentation": run.augmentation.model_dump(),
        "rebalancing": run.rebalancing.model_dump(),
        "seed": seed,
        "corpus": corpus.fingerprint,
        "hidden_states": read.about if isinstance(read, HiddenStates) else None,
        "versions": {package: metadata.version(package) for package in ("torch", "transformers", "audiomentations")},
    }
    # Named by all that shapes the weights, so that a changed parameter never resumes from the old one's checkpoint.
    work = places.work / params.digest(about)[:16]
    first = int(os.environ.get("RANK", "0")) == 0
    with _alone(places.work, name) if first else nullcontext():
        if first:
            for other in places.work.iterdir():
                if other.is_dir() and other != work:
                    _delete(other)
        work.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(seed)
        with Clock(work / "seconds.json") as clock:
            classifier: Classifier = recipe.build(target.labels, data.train, layout.checkpoints)
            for each in detectors:
                groups, group = groups_of(target.labels)
                detector = each.build(groups, in_groups(data.train, group), layout.checkpoints)
                classifier = WithDetector(classifier, detector)
            classifier.fit(data, work, work / "live")
        if not first:
            return
        with replacing_folder(places.model) as folder:
            classifier.save(folder)
            write_json(folder / "run.json", about)
        with replacing_folder(places.live) as folder:
            (work / "live").mkdir(exist_ok=True)
            shutil.copytree(work / "live", folder, dirs_exist_ok=True)
        write_json(layout.timing(name, "train"), {"seconds": clock.seconds, "clips": len(data.train.rows)})
        _delete(work)


@dataclass(frozen=True)
class Recipe:
    """A model with its validated parameters."""

    name: str
    model: models.Model
    parameters: Settings
    training: Settings

    @property
    def about(self) -> dict[str, Any]:
        return {"parameters": self.parameters.model_dump(), "training": self.training.model_dump()}

    def build(self, labels: list[str], examples: Examples, store: Path) -> Classifier:
        return self.model.build(self.parameters, self.training, labels, examples, store)


def recipes_of(run: Run, section: str) -> list[Recipe]:
    """Return the run's own recipe and its detector's, if it has one. Raises PipelineError for what is wrong in them."""
    recipes = []
    for part, where in ((run, section), (run.detector, f"{section}.detector")):
        if part is not None:
            model = models.find(part.model)
            parameters = params.validate(part.parameters, model.Params, f"{where}.parameters")
            training = params.validate(part.training, model.Training, f"{where}.training")
            recipes.append(Recipe(part.model, model, parameters, training))
    if len({"hidden_states" in models.inputs_of(recipe.name) for recipe in recipes}) > 1:
        raise PipelineError(
            f"{section}: '{recipes[0].name}' and its detector '{recipes[1].name}' do not take the same inputs.\n"
            "Change `detector.model` of the run in params.yaml."
        )
    return recipes


def read_run(tree: dict[str, Any], name: str) -> Run:
    """Return the run `name` with the shared section `train` under it. Raises PipelineError if it is not listed.

    The shared `training` is under a detector's too. Keys of it that a model does not have are no concern of it:
    networks have epochs, estimators of scikit-learn have none.
    """
    runs = tree.get("runs")
    if not isinstance(runs, dict) or name not in runs:
        known = ", ".join(runs) if isinstance(runs, dict) else "none"
        raise PipelineError(f"params.yaml lists no run '{name}'. Runs: {known}. Add it under 'runs:'.")
    shared, own = tree.get("train") or {}, runs[name]
    if not isinstance(own, dict) or not isinstance(shared, dict):
        raise PipelineError(f"params.yaml: 'train' and 'runs.{name}' must hold keys and values; found {own!r}.")
    ours = shared.get("training")
    if isinstance(own.get("model"), str):
        shared = {**shared, "training": _known_to(own["model"], ours)}
    merged = {**shared, **own}
    for key in shared.keys() & own.keys():
        if isinstance(shared[key], dict) and isinstance(own[key], dict):
            merged[key] = {**shared[key], **own[key]}
    detector = merged.get("detector")
    if isinstance(detector, dict) and isinstance(detector.get("model"), str):
        training = detector.get("training") or {}
        below = _known_to(detector["model"], ours)
        if isinstance(below, dict) and isinstance(training, dict):
            merged["detector"] = {**detector, "training": {**below, **training}}
    return params.validate(merged, Run, f"runs.{name}")


def _known_to(model: str, shared: Any) -> Any:
    """Return the keys of the shared `training` that the model has; what is no mapping is left to be refused."""
    if shared is None:
        return {}
    fields = models.find(model).Training.model_fields
    return {key: value for key, value in shared.items() if key in fields} if isinstance(shared, dict) else shared


def reader_of(layout: Layout, corpus: Corpus, model: str) -> Callable[[NDArray[np.int64]], NDArray[Any]]:
    """Return what reads the inputs of `model` by the corpus's row numbers: clips, or their stored hidden states.

    Raises PipelineError if the corpus holds what the model cannot take, or there are no hidden states of this corpus.
    """
    if inputs_of(corpus, model) == "hidden_states":
        return HiddenStates.open(layout.encode, corpus.fingerprint)
    return corpus.samples


def inputs_of(corpus: Corpus, model: str) -> str:
    """Return what `model` takes of the corpus: samples, embeddings or hidden_states.

    Raises PipelineError if the corpus holds what it cannot take.
    """
    taken = models.inputs_of(model)
    held = "samples" if corpus.dtype == np.int16 else "embeddings"
    if "hidden_states" in taken:
        return "hidden_states"
    if held not in taken:
        raise PipelineError(
            f"The corpus in {corpus.folder} holds {held}; the model '{model}' takes {' or '.join(taken)}.\n"
            "Change `model` of the run, or download.source, in params.yaml."
        )
    return held


def training_data_of(
    corpus: Corpus, run: Run, target: Target, read: Callable[[NDArray[np.int64]], NDArray[Any]], seed: int
) -> TrainingData:
    """Return what the run learns from: the training and validation clips of the corpus whose target is known.

    Raises PipelineError if a split has no such clip.
    """

    def examples(split: Split) -> Examples:
        rows = corpus.select(split)
        rows = rows[target.known[rows]]
        if len(rows) == 0:
            raise PipelineError(
                f"The corpus in {corpus.folder} has no clip in the split '{split}' whose {run.target} is known. "
                "See prepare.splits."
            )
        layers = read.layers if isinstance(read, HiddenStates) else ()
        return Examples(read=read, rows=rows, targets=target.values[rows], layers=layers)

    train = examples("train")
    if run.is_submitted:
        drawn_labels = np.array(target.labels)[train.targets]
        words = corpus.rows["word"].to_numpy()[train.rows]
    is_audio = read == corpus.samples and corpus.dtype == np.int16
    noises = [noise.samples for noise in corpus.noises("train")] if is_audio else []
    augmenter = Augmenter(run.augmentation, noises) if is_audio else None

    def drawn(epoch: int) -> NDArray[np.int64]:
        if run.is_submitted:
            return epoch_indices(drawn_labels, words, run.rebalancing, epoch, seed)
        if run.presence is not None and run.rebalancing.even:
            return balanced_epoch_indices(train.targets, run.rebalancing, epoch, seed)
        return np.arange(len(train.rows))

    return TrainingData(
        train=train,
        validation=examples("validation"),
        epoch_indices=drawn,
        augment=augmenter or (lambda inputs, generators: as_float(inputs)),
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
