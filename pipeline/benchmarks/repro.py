"""How long `dvc repro` takes in a finished project, in a copy of it that may be changed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from pipeline.benchmarks.rounds import Spread, seconds
from pipeline.benchmarks.table import Finding
from pipeline.errors import PipelineError

_PARTS = ("pipeline", "params.yaml", "dvc.yaml", "dvc.lock", ".dvcignore", ".dvc/config", "submissions", "report")
_LARGE_PARTS = ("artifacts", ".dvc/cache")
NOTHING_TO_DO, CHANGED = "dvc repro, nothing to do", "dvc repro, a changed threshold"
MANY_RUNS, MANY_FOLDS = 33, 5


def fresh_copy_of(root: Path, to: Path) -> None:
    """Copy what a project needs to run into the folder `to`, and nothing that its stages have left."""
    for part in ("pipeline", "dvc.yaml", ".dvcignore", ".dvc/config"):
        source, target = root / part, to / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)
    _without_git(to)


def copy_of(root: Path, to: Path) -> bool:
    """Copy a project into the folder `to`, if it is a finished one; say whether it is.

    Artifacts and DVC's cache become hard links, which take no room: stages and DVC replace files and never write into
    them. `to` should lie on the same disk.
    """
    if not (root / "dvc.lock").exists():
        return False
    for part in (*_PARTS, *_LARGE_PARTS):
        source, target = root / part, to / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            skipped = shutil.ignore_patterns("__pycache__", "work", "bench-*")
            copy = _link if part in _LARGE_PARTS else shutil.copy2
            shutil.copytree(source, target, symlinks=True, ignore=skipped, copy_function=copy)
        elif source.exists():
            shutil.copy2(source, target)
    _without_git(to)
    return _dvc(to, "status", "--json").strip() == "{}"


def _without_git(project: Path) -> None:
    (project / ".dvc" / "config.local").write_text("[core]\n    no_scm = true\n", encoding="utf-8")


def unfinished() -> list[Finding]:
    """Return the rows for a project that has not run yet."""
    return [Finding(what, "not measured: run `dvc repro` first") for what in (NOTHING_TO_DO, CHANGED)]


def repro(project: Path, change: Callable[[int], object], rounds: int) -> list[Finding]:
    """Time `dvc repro` after `change(round)`, which edits the parameters, and again when all is done."""
    _dvc(project, "repro")  # the files' hashes are known from here on, as in any project that has run
    changed_s, idle_s = [], []
    for number in range(rounds):
        change(number)
        changed_s.append(seconds(lambda: _dvc(project, "repro")))
        idle_s.append(seconds(lambda: _dvc(project, "repro")))
    return [_within(NOTHING_TO_DO, idle_s, 5), _within(CHANGED, changed_s, 20)]


def many(project: Path, runs: int, folds: int, rounds: int) -> Finding:
    """Time `dvc repro` with nothing to do, of `runs` runs on `folds` folds each.

    `project` has dvc.yaml, the code, and params.yaml that lists them, and has not run. What its stages would leave is
    feigned: a small file for each output, which DVC is told to take as it is (`dvc commit`).
    """
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "resolve"], cwd=project, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise PipelineError(f"resolve failed in a project of {runs} runs:\n{done.stderr[-2000:]}")
    _feign(project)
    _dvc(project, "commit", "--force")
    _dvc(project, "repro")
    idle_s = [seconds(lambda: _dvc(project, "repro")) for _ in range(rounds)]
    return _within(f"{NOTHING_TO_DO}: {runs} runs x {folds} folds", idle_s, 10)


def _feign(project: Path) -> None:
    """Write a small file for each output and dependency of the stages that is not there."""
    from dvc.repo import Repo  # takes a second, which nobody should wait for who measures nothing

    with Repo(str(project)) as repo:
        made = [Path(out.fs_path) for out in repo.index.outs]
        # What is read of another stage's folder.
        read = [Path(dep.fs_path) for stage in repo.index.stages for dep in stage.deps]
    for path in [*made, *read]:
        if path.suffix:
            path.parent.mkdir(parents=True, exist_ok=True)
        else:
            path.mkdir(parents=True, exist_ok=True)
            path = path / "feigned.tsv"
        if not path.exists():
            path.write_text("{}\n" if path.suffix == ".json" else f"step\t{path.name}\n", encoding="utf-8")


def _within(what: str, taken_s: list[float], limit_s: int) -> Finding:
    spread = Spread(taken_s)
    return Finding(what, f"{spread} s", target=f"at most {limit_s} s", met=spread.middle <= limit_s)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a disk without hard links, or another disk
        shutil.copy2(source, target)


def _dvc(project: Path, *words: str) -> str:
    environment = {
        **os.environ,
        # Stages start `python`: let it be this one. DVC's notes on the copy stay in the copy.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "DVC_SITE_CACHE_DIR": str(project / ".dvc" / "tmp" / "site"),
    }
    command = [sys.executable, "-m", "dvc", *words]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PipelineError(f"dvc {' '.join(words)} failed in a copy of the project:\n{done.stderr[-2000:]}")
    return done.stdout
