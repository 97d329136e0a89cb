"""Runs with their models: the validated parameters of each, and the classifiers that are built and restored by them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from pipeline import models, params, runs
from pipeline.clips.corpus import Corpus
from pipeline.errors import PipelineError
from pipeline.examples.augmentation import Augmentation
from pipeline.examples.looks import Look
from pipeline.examples.pseudo_labels import PseudoLabels
from pipeline.examples.rebalancing import Rebalancing
from pipeline.examples.task import Task
from pipeline.examples.training_data import Examples
from pipeline.features.hidden_states import HiddenStates
from pipeline.files import read_json
from pipeline.learners.classifier import Classifier
from pipeline.learners.detector import FOLDER, WithDetector, groups_of, in_groups
from pipeline.learners.training import Training
from pipeline.settings import Processes, Settings

Reader = Callable[[NDArray[np.int64]], NDArray[Any]]


class Detector(Settings):
    """A second network, for silence and unknown alone (`pipeline.learners.detector`), on the run's own clips."""

    model: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)


class Run(Task):
    """One entry of `runs` or `students`; the section `train` holds what all share, an entry overrides it key by key.

    `reported` is what the system's authors tell of it, for the table of `compare`; `search` are the ranges that
    `python -m pipeline search` draws from (pipeline.jobs.searching). Both change nothing.
    `pseudo_labels` is for students alone. `seed` is added to the project's, so that a run `like` another is another
    draw of it. `looks` are what stage predict takes the mean of, `engine` is what computes them there: torch, or the
    run as one ONNX graph in onnxruntime; they change no training. `processes` share each batch of a network's training,
    and the clips of stage predict: "auto" is one for each GPU. `at_once` is how many trainings go on at once, each with
    its share of the cores (pipeline.jobs.trainings); as many processes share the clips of stage predict.
    `heard_judges` says that its checkpoint was trained on clips that judge here, such as a published one that was
    fine-tuned on the same archive: what it remembers counts in no vote's weights, and estimates say so.
    """

    model: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)
    augmentation: Augmentation = Augmentation()
    rebalancing: Rebalancing = Rebalancing()
    detector: Detector | None = None
    pseudo_labels: PseudoLabels | None = None
    seed: int = Field(0, ge=0)
    processes: Processes = "auto"
    at_once: int = Field(1, ge=1, le=64)
    looks: tuple[Look, ...] = Field((Look(),), min_length=1)
    engine: Literal["torch", "onnx"] = "torch"
    heard_judges: bool = False
    reported: str | float = ""
    search: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _shares_in_one_way(self) -> Self:
        if self.at_once > 1 and self.processes not in ("auto", 1):
            raise ValueError("`at_once` trainings have a process each: delete `processes`, or `at_once`")
        return self


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


def read_run(tree: dict[str, Any], name: str) -> Run:
    """Return the run `name`, all filled in. Raises PipelineError for what is wrong in its entry.

    The shared `training` is under a detector's too. Keys of it that a model does not have are no concern of it:
    networks have epochs, estimators of scikit-learn have none.
    """
    merged, where = runs.entry(tree, name), runs.where_of(tree, name)
    is_student = name in runs.students(tree)
    if is_student and merged.get("pseudo_labels") is None:
        merged = {**merged, "pseudo_labels": {}}
    elif not is_student and merged.get("pseudo_labels") is not None:
        raise PipelineError(
            f"params.yaml, section {where}: only runs under 'students' or 'second_students' learn from pseudo_labels."
        )
    run = _validated(merged, runs.own(tree, name), params.mapping(tree, "train").get("training"), where)
    if is_student and not run.exclusive:
        raise PipelineError(
            f"params.yaml, section {where}: a student learns labels that exclude each other, and its target, tags, do "
            "not. Take another target, or list it under 'runs'."
        )
    if run.pseudo_labels is not None and run.pseudo_labels.unknown_odds != 1 and not run.is_submitted:
        raise PipelineError(
            f"params.yaml, section {where}: its target, {run.target}, has no unknown.\n"
            "Delete pseudo_labels.unknown_odds."
        )
    _refuse_without_effect(run, where)
    return run


def run_apart(values: dict[str, Any] | None, where: str) -> Run:
    """Return an entry that stands for itself, without the shared section. Raises PipelineError as `read_run`."""
    run = params.validate(values, Run, where)
    _refuse_without_effect(run, where)
    return run


def recipes_of(run: Run, where: str) -> list[Recipe]:
    """Return the run's own recipe and its detector's, if it has one. Raises PipelineError for what is wrong in them."""
    recipes = []
    for part, section in ((run, where), (run.detector, f"{where}.detector")):
        if part is not None:
            model = models.find(part.model)
            parameters = params.validate(part.parameters, model.Params, f"{section}.parameters")
            training = params.validate(part.training, model.Training, f"{section}.training")
            recipes.append(Recipe(part.model, model, parameters, training))
    if len({"hidden_states" in models.inputs_of(recipe.name) for recipe in recipes}) > 1:
        raise PipelineError(
            f"{where}: '{recipes[0].name}' and its detector '{recipes[1].name}' do not take the same inputs.\n"
            "Change `detector.model` of the run in params.yaml."
        )
    return recipes


def learns_in_batches(run: Run) -> bool:
    """Whether several processes can share the run's training: a network's, not an estimator's or a vote's of probes."""
    return issubclass(models.find(run.model).Training, Training)


def build(recipes: list[Recipe], labels: list[str], examples: Examples, store: Path) -> Classifier:
    """Return the unfitted classifier of a run; `store` is where published checkpoints lie."""
    recipe, *detectors = recipes
    classifier = recipe.model.build(recipe.parameters, recipe.training, labels, examples, store)
    for each in detectors:
        groups, group = groups_of(labels)
        coarse = each.model.build(each.parameters, each.training, groups, in_groups(examples, group), store)
        classifier = WithDetector(classifier, coarse)
    return classifier


def trained(folder: Path, tree: dict[str, Any], name: str) -> tuple[Classifier, dict[str, Any]]:
    """Return the classifier in `folder`, with the `training` that params.yaml gives now, and what run.json tells.

    The loss is the one that it was trained with, since that says how its outputs become probabilities. Of a detector's
    `training`, what changes no weight alone is of now.

    Raises PipelineError if the run is not listed, is not trained, or its weights have other labels.
    """
    run = read_run(tree, name)
    try:
        about: dict[str, Any] = read_json(folder / "run.json")
    except FileNotFoundError:
        raise PipelineError(f"The run '{name}' is not trained: no {folder}/run.json. Run: dvc repro") from None
    model = models.find(about["model"])
    where = runs.where_of(tree, name)
    training = params.validate(run.training, model.Training, f"{where}.training")
    if "loss" in model.Training.model_fields:
        training = training.model_copy(update={"loss": about["training"]["loss"]})
    classifier: Classifier = model.restore(folder, training)
    if about.get("detector") is not None:
        told, now = about["detector"], run.detector
        apart, values = models.find(told["model"]), runs.shaping(told)["training"]
        if now is not None and now.model == told["model"]:
            values |= {key: value for key, value in now.training.items() if key in runs.OF_NO_WEIGHT}
        of_detector = params.validate(values, apart.Training, f"{where}.detector.training")
        classifier = WithDetector(classifier, apart.restore(folder / FOLDER, of_detector))
    if classifier.labels != about["labels"]:
        raise PipelineError(f"{folder}: the weights' labels are not those of run.json. Run: dvc repro -f")
    return classifier, about


def reader_of(encoded: Path, corpus: Corpus, model: str) -> Reader:
    """Return what reads the inputs of `model` by the corpus's row numbers: clips, or their states in `encoded`.

    Raises PipelineError if the corpus holds what the model cannot take, or there are no hidden states of this corpus.
    """
    if input_kind(corpus, model) == "hidden_states":
        return HiddenStates.open(encoded, corpus.fingerprint)
    return corpus.samples


def input_kind(corpus: Corpus, model: str) -> str:
    """Return what `model` takes of the corpus: samples, embeddings or hidden_states. Raises as `reader_of`."""
    taken = models.inputs_of(model)
    held = "samples" if corpus.has_audio else "embeddings"
    if "hidden_states" in taken:
        return "hidden_states"
    if held not in taken:
        raise PipelineError(
            f"The corpus in {corpus.folder} holds {held}; the model '{model}' takes {' or '.join(taken)}.\n"
            "Change `model` of the run, or download.source, in params.yaml."
        )
    return held


def _refuse_without_effect(run: Run, where: str) -> None:
    """Raise PipelineError for a rebalancing that would change nothing: an epoch holds all clips, whatever it says."""
    if run.rebalancing.even and run.presence is None:
        raise PipelineError(
            f"params.yaml, section {where}: rebalancing.even is for runs with a presence: as many clips of either "
            "answer. Without one it would change nothing. Set rebalancing.even of the run to false."
        )
    if run.rebalancing.share < 1 and not run.is_submitted:
        what = f"target '{run.target}'" if run.presence is None else "presence"
        raise PipelineError(
            f"params.yaml, section {where}: rebalancing.share is a part of the clips of each word, for runs that learn "
            f"the word; with the run's {what} it would change nothing. Set rebalancing.share of the run to 1."
        )


def _validated(merged: dict[str, Any], own: dict[str, Any], shared: Any, where: str) -> Run:
    shared = shared if isinstance(shared, dict) else {}
    training, detector = merged.get("training"), merged.get("detector")
    if isinstance(merged.get("model"), str) and isinstance(training, dict):
        unknown = set(shared) - set(models.find(merged["model"]).Training.model_fields) - set(own.get("training") or {})
        merged = {**merged, "training": {key: value for key, value in training.items() if key not in unknown}}
    if isinstance(detector, dict) and isinstance(detector.get("model"), str):
        mine = detector.get("training") or {}
        if isinstance(mine, dict):
            fields = models.find(detector["model"]).Training.model_fields
            below = {key: value for key, value in shared.items() if key in fields}
            merged = {**merged, "detector": {**detector, "training": {**below, **mine}}}
    return params.validate(merged, Run, where)
