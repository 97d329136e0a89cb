"""Runs as params.yaml lists them: what each is once `like` and the shared section are filled in, and what it answers.

Loads no model and no torch: what needs the model's own parameters is in `pipeline.jobs.recipes`.
"""

import re
from itertools import combinations
from typing import Any

from pipeline import params
from pipeline.errors import PipelineError
from pipeline.examples.task import Task
from pipeline.layout import Layout, RunPaths

RESERVED = ("ensemble", "kernel")  # folders in submissions/ that are no run's
# The sections that list runs, round by round: each learns from what those before it say of the test clips.
ROUNDS = ("runs", "students", "second_students")
SAID_OF_A_RUN = ("reported", "search")  # keys of an entry that change nothing in it
OF_NO_WEIGHT = ("eval_batch_size", "workers")  # keys of `training` that say how it is computed alone
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")


def teachers(tree: dict[str, Any]) -> list[str]:
    """Return the names under `runs`. Raises PipelineError if there is none, or one that cannot be a name."""
    return _names(tree, "runs")


def students(tree: dict[str, Any]) -> list[str]:
    """Return the names of the runs that learn from the test clips too, as runs of earlier rounds label them."""
    return [name for names in rounds(tree)[1:] for name in names]


def rounds(tree: dict[str, Any]) -> list[list[str]]:
    """Return the names of the teachers, the students, and the second students, whom both teach.

    Raises PipelineError for a name that stands in two of these sections.
    """
    listed = [_names(tree, section) for section in ROUNDS]
    for (one, names), (other, others) in combinations(zip(ROUNDS, listed, strict=True), 2):
        if twice := sorted({*names} & {*others}):
            raise PipelineError(
                f"params.yaml: {', '.join(twice)} is both under '{one}' and under '{other}'. Rename one."
            )
    return listed


def round_of(tree: dict[str, Any], name: str) -> int:
    """Return the round that a run is of: 1 of a teacher, 2 of a student, 3 of a second student."""
    return next((number for number, section in enumerate(ROUNDS, start=1) if name in params.mapping(tree, section)), 1)


def paths(layout: Layout, tree: dict[str, Any], name: str) -> RunPaths:
    """Return where a run's training and probabilities lie."""
    return layout.run(name, round_of(tree, name))


def names(tree: dict[str, Any], last_round: int = len(ROUNDS)) -> list[str]:
    """Return the names of all runs up to that round, students last."""
    return [name for names in rounds(tree)[:last_round] for name in names]


def entry(tree: dict[str, Any], name: str) -> dict[str, Any]:
    """Return what params.yaml says of the run `name`, with what it is `like` and the section `train` under it.

    A run takes over all of the section `train`, and of the run that it is `like`, and says key by key what differs, at
    any depth; a list is taken as a whole. Raises PipelineError if the run is not listed, or it is like one that is not,
    or like itself.
    """
    return _over(params.mapping(tree, "train"), own(tree, name))


def own(tree: dict[str, Any], name: str, through: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a run's entry with what it is `like` under it; `through` are the runs that led here. Raises as `entry`."""
    listed = {run: says for section in ROUNDS for run, says in params.mapping(tree, section).items()}
    if name not in listed:
        told = f"'{through[-1]}' is like '{name}', but it" if through else "It"
        raise PipelineError(
            f"params.yaml lists no run '{name}'. {told} should be one of: {', '.join(map(str, listed)) or 'none'}."
        )
    if name in through:
        raise PipelineError(f"params.yaml: runs are like each other in a circle: {' -> '.join([*through, name])}.")
    says = listed[name]
    where = where_of(tree, name)
    if not isinstance(says, dict):
        raise PipelineError(f"params.yaml, section {where}: expected keys and values, found {says!r}.")
    other = says.get("like")
    if other is None:
        return {key: value for key, value in says.items() if key != "like"}
    if not isinstance(other, str):
        raise PipelineError(f"params.yaml, section {where}: `like` must be the name of another run; found {other!r}.")
    below = own(tree, other, (*through, name))
    below = {key: value for key, value in below.items() if key != "reported"}  # that is told of the other alone
    return _over(below, {key: value for key, value in says.items() if key != "like"})


def models_of(tree: dict[str, Any], name: str) -> list[str]:
    """Return the models that the run names: its own and its detector's. Raises PipelineError as `entry` does."""
    values = entry(tree, name)
    detector = values.get("detector")
    named = [values.get("model"), detector.get("model") if isinstance(detector, dict) else None]
    return [model for model in named if isinstance(model, str)]


def shaping(told: dict[str, Any]) -> dict[str, Any]:
    """Return a run's entry, or what run.json tells of its training, without the keys that change no weight.

    They are some of its `training` and of its detector's; a `training` without any other is left out as a whole.
    """
    training, detector = told.get("training"), told.get("detector")
    if isinstance(training, dict):
        kept = {key: value for key, value in training.items() if key not in OF_NO_WEIGHT}
        told = {key: value for key, value in told.items() if key != "training"} | ({"training": kept} if kept else {})
    return {**told, "detector": shaping(detector)} if isinstance(detector, dict) else told


def task_of(tree: dict[str, Any], name: str) -> Task:
    """Return what the run answers. Raises PipelineError as `entry` does."""
    values = {key: value for key, value in entry(tree, name).items() if key in Task.model_fields}
    return params.validate(values, Task, where_of(tree, name))


def where_of(tree: dict[str, Any], name: str) -> str:
    """Return the place of a run's entry in params.yaml."""
    return f"{ROUNDS[round_of(tree, name) - 1]}.{name}"


def tasks(tree: dict[str, Any]) -> dict[str, Task]:
    """Return what each run answers, students last."""
    return {name: task_of(tree, name) for name in names(tree)}


def _names(tree: dict[str, Any], section: str) -> list[str]:
    listed = tree.get(section)
    if section != "runs" and listed is None:
        return []
    if not isinstance(listed, dict) or not (listed or section != "runs"):
        raise PipelineError(f"params.yaml: '{section}' must list runs by name; found {listed!r}.")
    for name in listed:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise PipelineError(
                f"params.yaml: {name!r} under '{section}' cannot be a run's name, since files are called by it.\n"
                "Take letters, digits, - and _; put a number or a word such as null in quotes."
            )
        if name in RESERVED:
            raise PipelineError(f"params.yaml: a run cannot be called '{name}': submissions/{name} is not a run's.")
    return list(listed)


def _over(below: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    merged = {**below, **own}
    for key in below.keys() & own.keys():
        if isinstance(below[key], dict) and isinstance(own[key], dict):
            merged[key] = _over(below[key], own[key])
    return merged
