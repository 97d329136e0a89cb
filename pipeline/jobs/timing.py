"""How long the trainings and predictions took whose results are there."""

from typing import Any

from pipeline import params, runs
from pipeline.files import read_json
from pipeline.layout import Layout


def of_training(layout: Layout, tree: dict[str, Any], run: str, fold: int) -> dict[str, Any] | None:
    """Return seconds and clips of the training of a run's fold, None where they are not known.

    They are those of the last one that went on here: a model that DVC took from its cache may be of another.
    """
    path, about = layout.timing(run, f"train-{fold}"), runs.paths(layout, tree, run).model(fold) / "run.json"
    if not path.exists():
        return None
    time: dict[str, Any] = read_json(path)
    is_of_another = "run" in time and about.exists() and time["run"] != params.digest(read_json(about))
    return None if is_of_another else time


def of_prediction(layout: Layout, run: str) -> dict[str, Any] | None:
    """Return seconds and clips of a run's last prediction, None where it was not timed."""
    path = layout.timing(run, "predict")
    return read_json(path) if path.exists() else None
