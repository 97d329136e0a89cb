"""What runs and folds left that params.yaml lists no more. Nothing goes that cannot be had again or that Kaggle has."""

import itertools
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from pipeline import params, runs
from pipeline.delivery import ledger
from pipeline.delivery.journal import is_of
from pipeline.files import sha256_of
from pipeline.jobs import LOCK
from pipeline.layout import Layout
from pipeline.locks import is_held
from pipeline.scoring import provenance, scored_files

# What stages decide and ensemble write into a run's folder.
PUBLISHED = ("submission.csv", "metrics.json", "confusion.csv", "confusion.png", "judged.parquet")


def remove_outputs(layout: Layout, tree: dict[str, Any]) -> list[Path]:
    """Remove trainings, probabilities and submissions of runs and folds that are listed no more; return their folders.

    They are outputs of stages, so DVC's cache has them, should they come back. What no stage wrote stays: a
    submission.csv that was made by hand in submissions/by-hand/, and what DVC has not recorded, since a verb made it or
    it was brought from another machine, in artifacts/unlisted/.
    """
    known = _known(tree)
    unlisted = _unlisted(layout, tree)
    submitted = [path for path in _folders(layout.submissions) if path.name not in known]
    if not unlisted and not submitted:
        return []
    recorded, gone = _recorded(layout.root), []
    for folder in unlisted:
        if folder in recorded or not any(path.is_file() for path in folder.rglob("*")):
            shutil.rmtree(folder)
            gone.append(folder)
        else:
            _keep_aside(folder, layout)
    for folder in submitted:
        if folder in recorded and (folder / "metrics.json").exists():
            provenance.keep_aside(folder)
            for name in PUBLISHED:
                (folder / name).unlink(missing_ok=True)
            with suppress(OSError):  # what else lies there is not ours
                folder.rmdir()
            gone.append(folder)
    return gone


def _keep_aside(folder: Path, layout: Layout) -> None:
    name = folder.relative_to(layout.artifacts).as_posix().replace("/", "-")
    tries = (layout.unlisted / (f"{name}-{number}" if number else name) for number in itertools.count())
    aside = next(path for path in tries if not path.exists())
    aside.parent.mkdir(parents=True, exist_ok=True)
    os.replace(folder, aside)
    print(f"{folder} is listed no more in params.yaml, and DVC has no copy of it: it is kept as {aside}")


def leftovers(layout: Layout, tree: dict[str, Any]) -> list[Path]:
    """Return what else such runs left, sorted: trainings that are unfinished or kept aside, times, and scored files.

    Of the files, only those that the ledger tells to have been scored here alone: not one that Kaggle has scored, nor
    one that no run has made.
    """
    known = _known(tree)
    found = _given_up(layout, tree, known)
    found += [path for path in _folders(layout.artifacts / "timing") if path.name not in known]
    found += _folders(layout.unlisted)
    rows = ledger.read(layout.ledger)
    of_runs = {path for run in known for path in scored_files.kept(layout.submissions, run)}
    for path in scored_files.kept(layout.submissions):
        if path not in of_runs and _is_scored_here_alone(sha256_of(path), rows):
            found += [each for each in (path, path.with_suffix(".png")) if each.exists()]
    return sorted(found)


def remove(paths: Sequence[Path]) -> None:
    """Delete files and folders."""
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _given_up(layout: Layout, tree: dict[str, Any], known: set[str]) -> list[Path]:
    """Return the folders of checkpoints of runs and folds that are listed no more, but of trainings that go on."""
    names, folds = runs.names(tree), {str(fold) for fold in params.folds(tree)}
    found: list[Path] = []
    for run in _folders(layout.artifacts / "work"):
        if run.name in names:
            found += [fold for fold in _folders(run) if fold.name not in folds]
        elif run.name not in known and not run.name.startswith("."):
            found.append(run)
    going_on = [path for path in found if any(is_held(lock) for lock in path.rglob(LOCK))]
    for path in going_on:
        print(f"{path.relative_to(layout.root)} stays: its training goes on.")
    return [path for path in found if path not in going_on]


def _is_scored_here_alone(sha256: str, rows: Sequence[ledger.Row]) -> bool:
    """Say whether a file has a local score, and no submission at Kaggle is of it, by its checksum or by its id."""
    at_kaggle = [row for row in rows if row.scoreboard == ledger.KAGGLE]
    if any(row.sha256 == sha256 or is_of(row.message, sha256) for row in at_kaggle):
        return False
    return any(row.sha256 == sha256 for row in rows)


def _recorded(root: Path) -> set[Path]:
    """Return the outputs that dvc.lock tells of, and the folders above them: of no others has DVC's cache a copy."""
    try:
        lock = yaml.load((root / "dvc.lock").read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except FileNotFoundError:
        return set()
    paths = [root / out["path"] for stage in (lock or {}).get("stages", {}).values() for out in stage.get("outs", [])]
    return {each for path in paths for each in (path, *path.parents)}


def _known(tree: dict[str, Any]) -> set[str]:
    return {*runs.names(tree), *runs.RESERVED, "encode.fit"}


def _unlisted(layout: Layout, tree: dict[str, Any]) -> list[Path]:
    folds = {str(fold) for fold in params.folds(tree)}
    gone: list[Path] = []
    for round_, listed in enumerate(runs.rounds(tree), start=1):
        paths = layout.run("", round_)
        folders = [paths.trained, paths.probabilities]
        if round_ > 1:
            folders.append(layout.pseudo_labels("", round_))
        if round_ > 2:
            folders.append(layout.vote(""))
        for folder in folders:
            gone += [path for path in _folders(folder) if path.name not in listed]
        for run in listed:
            gone += [path for path in _folders(layout.run(run, round_).trained) if path.name not in folds]
    return sorted(gone)


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.is_dir())
