"""What can be told to be wrong with params.yaml before any work: every section, and whether each run can be built."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import models, params, runs, sections
from pipeline.clips.labels import ABSENT
from pipeline.clips.preparation import Prepare
from pipeline.clips.waveform import CLIP_SAMPLES
from pipeline.delivery.settings import Kernel, Submit
from pipeline.errors import PipelineError
from pipeline.examples.task import WORD, Task
from pipeline.examples.training_data import Examples
from pipeline.fleet.settings import Fleet
from pipeline.jobs import downloading, encoding, searching
from pipeline.jobs.encoding import Encode
from pipeline.jobs.recipes import Recipe, Run, read_run, recipes_of
from pipeline.learners.detector import groups_of
from pipeline.learners.losses import loss_named
from pipeline.learners.neural_classifier import NeuralClassifier
from pipeline.learners.parameter_groups import depths_of
from pipeline.reporting.settings import Report
from pipeline.scoring.settings import ENSEMBLE

Layers = tuple[int, ...] | None  # numbers of the layers whose hidden states will be stored, None where none will


def problems_of(tree: dict[str, Any], store: Path) -> list[str]:
    """Return a message for each thing that is wrong; fetches checkpoints that are not in `store`, if it can."""
    problems: list[str] = []
    prepare, encode, names = Prepare(), Encode(), list[str]()
    tells: tuple[str, ...] | None = None
    layers: Layers = None
    seed = 0
    with _noted(problems):
        seed = params.seed(tree)
    problems += _unread_by_dvc(tree)
    with _noted(problems):
        tells = _told_by_source(tree)
    with _noted(problems):
        prepare = params.section(tree, "prepare", Prepare)
    with _noted(problems):
        _check_folds(params.folds(tree), prepare.folds)
    with _noted(problems):
        encode = params.section(tree, "encode", Encode)
        encoding.refuse_folds(encode, prepare.folds)
        with _noted(problems, "Section encode: "):
            layers = encoding.check(encode, store)
    with _noted(problems):
        params.section(tree, "submit", Submit)
    with _noted(problems):
        params.section(tree, "fleet", Fleet)
    with _noted(problems):
        params.section(tree, "report", Report)
    with _noted(problems):
        names = runs.names(tree)
    if not names:
        return problems  # all else speaks of them
    with _noted(problems):
        sections.check_priors(sections.decide(tree), prepare.commands)
    if tree.get("kernel") is not None:
        with _noted(problems):
            _check_kernel(params.section(tree, "kernel", Kernel), names)
    sound = len(problems)
    with _noted(problems):
        _check_shared(tree)
    if len(problems) > sound:
        tree = {**tree, "train": {}}  # told once, and not of each run
    read: dict[str, Run] = {}
    for name in names:
        with _noted(problems, f"Run '{name}': "):
            run, where = read_run(tree, name), runs.where_of(tree, name)
            _check_target(run, tells, prepare, where)
            _check_labels(run)
            _check_engine(run)
            _check_seed(run, seed)
            _check_synthetic(run, prepare)
            for recipe in recipes_of(run, where):
                recipe.model.check(recipe.parameters, store)
                if (loss := getattr(recipe.training, "loss", None)) is not None:
                    loss_named(loss, multi_label=not run.exclusive)
                _check_stack(recipe, store)
                if "hidden_states" in recipe.model.INPUTS and (layers is not None or not encode.is_asked):
                    _check_layers(getattr(recipe.parameters, "layers", None), layers)
            searching.ranges_of(tree, name)
            read[name] = run
            print(f"{name}: ready to train")
    if len(read) == len(names):
        _check_votes(tree, read, problems)
    if not problems:
        problems += _unused_keys(tree, read)
    return problems


@contextmanager
def _noted(problems: list[str], where: str = "") -> Iterator[None]:
    try:
        yield
    except PipelineError as error:
        problems.append(f"{where}{error}")


def _unread_by_dvc(tree: dict[str, Any]) -> list[str]:
    """Return a message for each thing that our stages would read, but not DVC, which fills dvc.yaml from the file."""
    problems = [
        f"params.yaml: '{section}' is empty, which DVC cannot read. Delete the line, or write {section}: {{}}."
        for section in runs.ROUNDS[1:]
        if section in tree and tree[section] is None
    ]
    if "folds" not in tree:
        problems.append("params.yaml: 'folds' is missing, which DVC reads. List the folds to train: folds: [0].")
    return problems


def _told_by_source(tree: dict[str, Any]) -> tuple[str, ...] | None:
    """Return what the source tells of its clips, None if it does not say. Raises PipelineError for a bad section."""
    return downloading.sources_of(tree)[0].source.TELLS


def _check_folds(trained: list[int], folds: int) -> None:
    if absent := [str(fold) for fold in trained if fold >= folds]:
        raise PipelineError(
            f"params.yaml: 'folds' lists {', '.join(absent)}, but prepare.folds is {folds}: they are numbered from 0 "
            f"to {folds - 1}.\nSet prepare.folds, and folds: {list(range(max(folds, len(trained))))}."
        )


def _check_kernel(kernel: Kernel, names: list[str]) -> None:
    if kernel.run not in [*names, ENSEMBLE]:
        raise PipelineError(f"params.yaml, kernel.run: '{kernel.run}' is no run. Runs: {', '.join([*names, ENSEMBLE])}")


def _check_shared(tree: dict[str, Any]) -> None:
    params.validate({"model": "any", **params.mapping(tree, "train")}, Run, "train")


def _check_target(task: Task, tells: tuple[str, ...] | None, prepare: Prepare, where: str) -> None:
    if tells is not None and task.target not in tells:
        raise PipelineError(
            f"params.yaml, section {where}:\n  target: the source does not tell it of its clips; found "
            f"'{task.target}'. It tells: {', '.join(tells)}"
        )
    if task.is_submitted and not prepare.commands:
        raise PipelineError(
            f"params.yaml, section {where}:\n  target: it learns the word, but prepare.commands is empty, so there is "
            "nothing to submit. List commands there, or set another target."
        )


def _check_labels(run: Run) -> None:
    """Raise PipelineError for labels of which a net of the run can make nothing, whatever the clips."""
    if run.detector is not None and run.presence is not None:
        groups_of([ABSENT, run.presence.name])
    if not run.exclusive and run.detector is not None:
        raise PipelineError("a detector tells silence from words, but a clip may have several tags. Delete `detector`.")
    if not run.exclusive and run.model == "probes":
        raise PipelineError(
            "probes tell one label a clip, and a clip may have several tags. Give it another target, or a presence."
        )


def _check_synthetic(run: Run, prepare: Prepare) -> None:
    """Raise PipelineError if a run asks for synthetic clips that nobody makes, or that tell nothing of its target."""
    made = prepare.synthetic
    if run.rebalancing.most_synthetic and run.target != WORD:
        raise PipelineError(
            "its rebalancing asks for synthetic clips, of which the word alone is known; its target is "
            f"'{run.target}'.\nDelete the run's rebalancing.synthetic."
        )
    if run.rebalancing.most_synthetic and not made.clips + made.other_clips:
        raise PipelineError(
            "its rebalancing asks for synthetic clips, and prepare.synthetic makes none.\n"
            "Set prepare.synthetic in params.yaml, or delete the run's rebalancing.synthetic."
        )


def _check_engine(run: Run) -> None:
    """Raise PipelineError if `predict` could not make the ONNX file that would compute it."""
    if run.engine == "onnx" and (run.detector is not None or "samples" not in models.find(run.model).INPUTS):
        raise PipelineError(
            "engine: onnx is for one network over audio, without a detector. Delete `engine`, or set it to torch."
        )


def _check_stack(recipe: Recipe, store: Path) -> None:
    """Raise PipelineError for rates by layer of a net without a stack of layers.

    Not of a checkpoint's, which takes long to read and is a transformer or told at the start of its training.
    """
    is_even = getattr(recipe.training, "layer_decay", 1) == 1
    if is_even or recipe.model.checkpoint_of(recipe.parameters, store) is not None:
        return
    noise = np.random.default_rng(1).integers(-9_000, 9_000, (2, CLIP_SAMPLES)).astype(np.int16)
    clips, built = Examples(lambda rows: noise[rows], np.arange(2), np.arange(2)), None
    with suppress(PipelineError):  # of so few clips, not every model can be built
        built = recipe.model.build(recipe.parameters, recipe.training, ["no", "yes"], clips, store)
    if isinstance(built, NeuralClassifier):
        depths_of(built.model)


def _check_seed(run: Run, seed: int) -> None:
    """Raise PipelineError if the run's seed and the project's `seed` together are larger than a generator takes."""
    if seed + run.seed > params.LARGEST_SEED:
        raise PipelineError(f"its seed and the project's are {params.LARGEST_SEED} together at most. Lower `seed`.")


def _check_layers(wanted: Layers, stored: Layers) -> None:
    """Raise PipelineError if hidden states that a run reads will not be there."""
    if stored is None:
        raise PipelineError(
            "it reads hidden states, and the section encode in params.yaml asks for none. Set encode.checkpoint, or "
            "encode.fit (see profiles/audiomnist.yaml)."
        )
    if absent := sorted(set(wanted or ()) - set(stored)):
        raise PipelineError(
            f"it reads layer {', '.join(map(str, absent))}; stored are {', '.join(map(str, stored))}.\n"
            "Change `layers` in the run's parameters, or encode.layers, in params.yaml."
        )


def _check_votes(tree: dict[str, Any], read: dict[str, Run], problems: list[str]) -> None:
    with _noted(problems):
        sections.voters(tree, ENSEMBLE)
    for section, names in zip(sections.VOTES, runs.rounds(tree)[1:], strict=True):
        with _noted(problems):
            _, teachers, task = sections.voters(tree, section)
            for name in names:
                with _noted(problems, f"Run '{name}': "):
                    _check_student(read[name], task, [read[teacher] for teacher in teachers])


def _check_student(student: Run, asked: Task, teachers: list[Run]) -> None:
    """Raise PipelineError if a student cannot learn what the teachers' vote will say."""
    if student.question != asked.question:
        raise PipelineError(
            f"it learns '{student.target}', and the teachers vote on '{asked.target}'. Change its target, or vote.runs."
        )
    if asked.is_submitted and student.vocabulary == "words" and all(run.vocabulary != "words" for run in teachers):
        raise PipelineError(
            "it learns words, and no teacher that votes does. Set vocabulary: commands, or let a run with words vote."
        )
    if student.detector is not None or not models.find(student.model).SOFT_LABELS:
        raise PipelineError(
            "a student learns from soft labels, which estimators and detectors cannot. Take a network as `model`, "
            "without a detector."
        )


def _unused_keys(tree: dict[str, Any], read: dict[str, Run]) -> list[str]:
    parts = [part for run in read.values() for part in (run, run.detector) if part is not None]
    known = {key for part in parts for key in models.find(part.model).Training.model_fields}
    unused = set(params.mapping(tree, "train").get("training") or {}) - known
    return [f"params.yaml, train.training: no run's model knows the key {', '.join(sorted(unused))}."] if unused else []
