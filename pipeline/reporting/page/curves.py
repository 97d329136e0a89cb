"""The learning curves that DVCLive left of each fold, finished or growing."""

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# The folder's name of a curve, and the chart that it is drawn in.
CHARTS = {"loss": "loss", "balanced_accuracy": "score", "map": "score", "learning_rate": "rate"}


def read(lives: Mapping[int, Path]) -> dict[str, list[dict[str, Any]]]:
    """Return the points by chart ("loss", "score", "rate") of the folds whose folder of DVCLive is there.

    A point has epoch, value, fold and part ("training" or "validation"). What is being written at this moment may
    end in half a line, which is left out.
    """
    charts: dict[str, list[dict[str, Any]]] = {}
    for fold, live in sorted(lives.items()):
        for path in sorted((live / "plots" / "metrics").glob("*/*.tsv")):
            if path.stem not in CHARTS:
                continue
            part = "training" if path.parent.name == "train" else path.parent.name
            with path.open(encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file, delimiter="\t"):
                    try:
                        epoch, value = int(row["step"]), float(row[path.stem])
                    except (KeyError, TypeError, ValueError):
                        continue
                    if math.isfinite(value):
                        point = {"epoch": epoch, "value": value, "fold": fold, "part": part}
                        charts.setdefault(CHARTS[path.stem], []).append(point)
    return charts
