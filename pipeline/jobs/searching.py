"""A search over the ranges that a run names: trials are trained like runs, and judged by clips that none learnt from.

The test clips and the holdout have no part in it.
"""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline import params, runs
from pipeline.clips.corpus import Corpus
from pipeline.errors import DivergedError, HeldError, PipelineError
from pipeline.examples.augmentation import Augmentation
from pipeline.examples.from_corpus import judged_labels
from pipeline.examples.target import target_of
from pipeline.files import read_json, write_json
from pipeline.jobs.fitting import Publication, work_of
from pipeline.jobs.recipes import Recipe, Run, read_run, reader_of, recipes_of, trained
from pipeline.layout import Layout
from pipeline.learners import judging
from pipeline.learners.classifier import predicted
from pipeline.learners.clock import Clock
from pipeline.searching.ranges import Choices, Range, Ranges, Value, value_at, with_values

if TYPE_CHECKING:
    from pipeline.searching.study import Study, Trial

FIGURE, SECONDS = "figure.json", "trial_seconds.json"
UNSHAPING = {"reported", "at_once", "looks", "engine", "heard_judges"}  # keys of a run that no trial sees


class Search:
    """What is searched: the run, its ranges, and the folds whose speakers judge it.

    Raises PipelineError for a run that is not listed, names no ranges, is a student, or cannot have their ends.
    """

    def __init__(self, layout: Layout, tree: dict[str, Any], name: str, all_folds: bool) -> None:
        if name in runs.students(tree):
            raise PipelineError(
                f"'{name}' is a student, and learns from the test clips, which no search may see. Search its teachers, "
                "or list a run like it under 'runs'."
            )
        self.ranges = ranges_of(tree, name)
        if not self.ranges:
            raise PipelineError(
                f"The run '{name}' names no ranges to search. Name some in params.yaml, for example:\n"
                f"runs:\n  {name}:\n    search:\n      training.learning_rate: {{low: 0.0003, high: 0.01, log: true}}"
            )
        self.layout, self.tree, self.name = layout, tree, name
        self.seed = params.seed(tree)
        self.folds = params.folds(tree) if all_folds else params.folds(tree)[:1]
        self.corpus = Corpus.open(layout.prepare)

    def open(self) -> "Study":
        """Return the study of this very run, ranges, corpus and folds; a change in any of them starts another."""
        from pipeline.searching.study import Study

        entry = {key: value for key, value in runs.entry(self.tree, self.name).items() if key not in UNSHAPING}
        name = params.digest([entry, self.corpus.fingerprint, self.folds, self.seed])[:12]
        run, recipes = _read(self.tree, self.name)
        there: dict[str, Any] = {**run.model_dump(), **recipes[0].about}
        if len(recipes) > 1:
            there["detector"] = recipes[1].about
        now: dict[str, Value] = {}
        for key, each in self.ranges.items():
            try:
                value = value_at(there, key)
            except KeyError:
                continue
            if each.holds(value):
                now[key] = value
        epochs = getattr(recipes[0].training, "epochs", 0)
        first = now if len(now) == len(self.ranges) else None
        return Study(self.layout.search(self.name), name, self.ranges, self.seed, epochs // 3, first)

    def attempt(self, study: "Study", trial: "Trial") -> None:
        """Train and judge a trial, from where a kill left it, and close it.

        Raises PipelineError if the first cannot be trained, and for any whose training another process is at; else one
        that cannot be trained is refused.
        """
        folder = study.place(trial.number)
        with Clock(folder / SECONDS) as clock:
            figure, note = self._outcome(trial, folder)
        trial.end(figure, clock.seconds, note)
        for fold in self.folds:  # the weights of trials are not kept
            shutil.rmtree(folder / str(fold) / "work", ignore_errors=True)

    def _outcome(self, trial: "Trial", folder: Path) -> tuple[float | None, str]:
        """Return the mean figure of a trial's folds, None and why where there is none."""
        from pipeline.searching.study import Pruned

        is_a_run = False
        try:
            _read(changed(self.tree, self.name, trial.values), self.name)
            is_a_run = True
            return float(np.mean([self._figure(trial, fold, folder / str(fold)) for fold in self.folds])), ""
        except Pruned:
            return None, ""
        except DivergedError:
            return None, "diverged"
        except HeldError:
            raise
        except PipelineError as error:
            if is_a_run and trial.number == 0:
                raise  # what the first one lacks, such as a checkpoint, all lack
            print(f"No run can have these values together. {error}")
            return None, "refused"

    def _figure(self, trial: "Trial", fold: int, folder: Path) -> float:
        """Return how well a net that never heard a fold's speakers does on their clips."""
        if (folder / FIGURE).exists():
            return float(read_json(folder / FIGURE)["figure"])
        tree = changed(self.tree, self.name, trial.values)
        run = read_run(tree, self.name)
        to = Publication(folder / "work", folder / "model", folder / "live", folder / "seconds.json")
        if not (folder / "model" / "run.json").exists():
            # Pruned by the first fold alone: another fold's figures cannot be set beside these.
            watch = trial.report if fold == self.folds[0] else None
            where = runs.where_of(self.tree, self.name)
            work_of(self.layout, self.corpus, run, self.name, where, fold, self.seed, to).learn(watch)
        figure = self._judge(run, tree, to.model, fold)
        write_json(folder / FIGURE, {"figure": figure})
        shutil.rmtree(to.model)
        return figure

    def _judge(self, run: Run, tree: dict[str, Any], model: Path, fold: int) -> float:
        target, read = target_of(self.corpus, run), reader_of(self.layout.encode, self.corpus, run.model)
        classifier, _ = trained(model, tree, self.name)
        rows = target.among(self.corpus.judged_rows(fold))
        values = predicted(classifier, read, rows)
        judged = judged_labels(self.corpus, target.labels) if run.is_submitted else None
        return judging.figure_of(values, target.values[rows], judged)


def ranges_of(tree: dict[str, Any], name: str) -> Ranges:
    """Return the ranges that a run names, by place in its entry.

    Raises PipelineError for what is no range, and for one of whose ends no run can be made.
    """
    where = f"{runs.where_of(tree, name)}.search"
    ranges: Ranges = {}
    said = runs.entry(tree, name).get("search") or {}
    if not isinstance(said, dict):
        raise PipelineError(f"{where} must name ranges, as key: {{low: 1, high: 2}}; found {said!r}.")
    for key, says in said.items():
        is_choice = isinstance(says, dict) and "choices" in says
        place = f"{where}, {key}"
        ranges[key] = params.validate(says, Choices, place) if is_choice else params.validate(says, Range, place)
        for end in ranges[key].ends:
            try:
                _read(changed(tree, name, {key: end}), name)
            except PipelineError as error:
                raise PipelineError(f"{where}: no run can have {key} {end!r}.\n{error}") from None
    return ranges


def changed(tree: dict[str, Any], name: str, values: dict[str, Value]) -> dict[str, Any]:
    """Return the parameters with `values` in a run's entry. Raises PipelineError for a place that is not there."""
    section = runs.where_of(tree, name).split(".")[0]
    merged = {"augmentation": Augmentation().model_dump(), **runs.entry(tree, name)}
    entry = with_values(runs.own(tree, name), merged, values)
    return {**tree, section: {**tree[section], name: entry}}


def pasteable(tree: dict[str, Any], name: str, values: dict[str, Value]) -> dict[str, Any]:
    """Return the section `runs` with one run: like `name`, and with `values` where it differs from it."""
    entry, before = runs.own(changed(tree, name, values), name), runs.own(tree, name)
    new, number = f"{name}-tuned", 2
    while new in runs.names(tree):
        new, number = f"{name}-tuned-{number}", number + 1
    return {"runs": {new: {"like": name, **_difference(entry, before)}}}


def _read(tree: dict[str, Any], name: str) -> tuple[Run, list[Recipe]]:
    run = read_run(tree, name)
    return run, recipes_of(run, runs.where_of(tree, name))


def _difference(after: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """Return what `like` needs to be told: changed values at any depth, lists as a whole."""
    found: dict[str, Any] = {}
    for key, value in after.items():
        if isinstance(value, dict) and isinstance(before.get(key), dict):
            if inside := _difference(value, before[key]):
                found[key] = inside
        elif key not in before or value != before[key]:
            found[key] = value
    return found
