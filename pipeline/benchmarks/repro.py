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

_PARTS = ("pipeline", "params.yaml", "dvc.yaml", "dvc.lock", ".dvcignore", ".dvc/config", "submissions")
_LARGE_PARTS = ("artifacts", ".dvc/cache")
NOTHING_TO_DO, CHANGED = "dvc repro, nothing to do", "dvc repro, a changed threshold"


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
    (to / ".dvc" / "config.local").write_text("[core]\n    no_scm = true\n", encoding="utf-8")
    return _dvc(to, "status", "--json").strip() == "{}"


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
        raise PipelineError(f"dvc {' '.join(words)} failed in a copy of the project:\n{(done.stderr)[-2000:]}")
    return done.stdout
