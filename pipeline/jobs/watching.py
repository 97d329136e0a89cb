"""How the trainings that go on are doing: what they have left on the disk so far."""

import functools
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline import params, runs
from pipeline.errors import PipelineError
from pipeline.files import read_json
from pipeline.jobs import LEARNT
from pipeline.layout import Layout
from pipeline.learners.detector import FOLDER as DETECTOR
from pipeline.reporting.page import curves, machine

STILL_S = 30.0  # a training's clock ticks every five seconds; one that has been silent for so long stands still


def now(layout: Layout, tree: dict[str, Any]) -> dict[str, Any]:
    """Return the machine's load, how many folds are trained, and each training that has begun and not ended.

    A training tells its run and fold, the `epoch` that it has finished of `epochs` (None where the model has none),
    the `seconds` it took so far, an estimate of those that are `left`, whether it stands still, and its curves.
    """
    trainings, done, wanted = [], 0, 0
    for run in runs.names(tree):
        paths = runs.paths(layout, tree, run)
        for fold in params.folds(tree):
            wanted += 1
            begun = [path for path in paths.work(fold).glob("*/seconds.json") if path.parent.suffix != ".deleted"]
            is_learnt = any(paths.work(fold).glob(f"*/{LEARNT}"))
            is_published = (paths.model(fold) / "run.json").exists()
            with suppress(FileNotFoundError):  # it ends at this moment
                newest = max(begun, key=lambda path: path.stat().st_mtime, default=None)
                # Beside a result, one that stands still is another, which was given up.
                if newest is not None and not is_learnt and not (is_published and _silent_s(newest) > STILL_S):
                    epochs = epochs_of(layout.params, layout.params.stat().st_mtime_ns, run)
                    trainings.append(_training(run, fold, newest, epochs))
                    continue
            done += is_learnt or is_published
    return {"load": machine.load(), "done": done, "all": wanted, "trainings": trainings, "version": version(layout)}


def version(layout: Layout) -> str:
    """Return what changes whenever the page would tell something else, its live part aside."""
    watched = [layout.prepare / "corpus.json", layout.scores, layout.ledger, layout.params]
    watched += layout.submissions.glob("*/metrics.json")
    found = [f"{path}:{path.stat().st_mtime_ns}" for path in sorted(watched) if path.exists()]
    return params.digest(found)[:16]


def _training(run: str, fold: int, clock: Path, epochs: int | None) -> dict[str, Any]:
    seconds, since = float(read_json(clock)["seconds"]), _silent_s(clock)
    charts = curves.read({fold: clock.parent / "live"})
    # A detector learns after the words, and leaves its curves in a folder of theirs.
    parts = [charts, curves.read({fold: clock.parent / "live" / DETECTOR})]
    done = sum(max((point["epoch"] for points in part.values() for point in points), default=0) for part in parts)
    logs = sorted((clock.parent / "live").rglob("*.tsv"), key=lambda path: path.stat().st_mtime)
    still = since > STILL_S
    left = None
    if epochs and done and logs and not still:
        # What it took until the end of the last epoch; the one that goes on has taken some seconds already.
        then = max(1e-3, seconds - max(0.0, clock.stat().st_mtime - logs[-1].stat().st_mtime))
        left = max(0.0, then / done * epochs - seconds - since)
    return {
        "run": run,
        "fold": fold,
        "epoch": done,
        "epochs": epochs,
        "seconds": seconds,
        "left": left,
        "still": round(since) if still else None,
        "charts": charts,
    }


def _silent_s(clock: Path) -> float:
    return time.time() - clock.stat().st_mtime


@functools.lru_cache(maxsize=256)
def epochs_of(path: Path, written_ns: int, run: str) -> int | None:
    """Return how many epochs a run of params.yaml is trained, None for a model without epochs or a bad entry.

    With a detector, those of both count.

    `written_ns` says of which state of the file.
    """
    from pipeline.jobs.recipes import read_run, recipes_of  # here: torch takes seconds, and most runs say it

    tree = params.read(path)
    try:
        entry = runs.entry(tree, run)
        said = entry.get("training")
        if isinstance(said, dict) and isinstance(said.get("epochs"), int) and not entry.get("detector"):
            return int(said["epochs"])
        recipes = recipes_of(read_run(tree, run), f"runs.{run}")
    except PipelineError:
        return None
    epochs = [getattr(recipe.training, "epochs", None) for recipe in recipes]
    known = [each for each in epochs if each is not None]
    return sum(known) if len(known) == len(epochs) else None
