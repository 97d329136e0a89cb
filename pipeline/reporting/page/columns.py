"""The table of runs as the page shows it: which columns, and each cell's text and place in an order."""

from collections.abc import Mapping
from typing import Any

# name, heading, kind of cell ("n": a number), where it is left out ("minor": on a phone, "rare": on a small screen too;
# what opens below the row has it then), what it means.
COLUMNS = (
    ("run", "run", "", "", "Choose a run to open it"),
    ("model", "model", "", "minor", "Its file in pipeline/models"),
    ("learns", "learns", "", "minor", "The labels that it learns"),
    ("round", "round", "", "rare", "A student learnt from the test clips too"),
    ("estimate", "estimate (95 %)", "n", "", "Out of fold, judged by choices made on other speakers"),
    ("selected", "selected", "n", "minor", "The same clips by the final choices, which flatter"),
    ("private", "private", "n", "", "Accuracy on the private test clips"),
    ("public", "public", "n", "minor", "Accuracy on the public test clips"),
    ("test", "held out", "n", "minor", "Accuracy on clips held out from all choices"),
    ("calibration_error", "calibration error", "n", "minor", "Mean gap between probability and truth"),
    ("macro_f1", "macro F1", "n", "rare", "Mean over the labels"),
    ("unknown_recall", "recall of unknown", "n", "rare", "Share of unknown words that were told as such"),
    ("unheard_recall", "recall of unheard words", "n", "rare", "Of unknown words that were kept from its nets"),
    ("silence_recall", "recall of silence", "n", "rare", "Share of silent clips that were told as such"),
    ("parameters", "parameters", "n", "rare", "Values of its networks"),
    ("train_seconds", "training, s", "n", "minor", "Of all its folds"),
    ("clips_a_second", "clips/s", "n", "rare", "Speed of predict"),
    ("reported", "its authors reported", "", "rare", "On their data"),
)
COUNTS = ("parameters", "train_seconds", "clips_a_second")


def with_cells(group: Mapping[str, Any], runs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return a group of rows with its columns, those that no run fills left out, and the cells of each row."""
    rows = []
    lows, highs = zip(*(_ends(row["estimate"]) for row in group["rows"]), strict=True)
    scale = (min(lows), max(max(highs), min(lows) + 0.01))
    for row in group["rows"]:
        filled = {**row, "calibration_error": runs.get(row["run"], {}).get("calibration_error")}
        if row["private"] is not None:
            filled["test"] = None  # told by its parts
        rows.append({"run": row["run"], "cells": {name: _cell(name, filled.get(name), scale) for name, *_ in COLUMNS}})
    shown = [column for column in COLUMNS if any(row["cells"][column[0]]["text"] for row in rows)]
    names = ("name", "title", "kind", "minor", "told")
    return {**group, "rows": rows, "columns": [dict(zip(names, column, strict=True)) for column in shown]}


def _ends(estimate: Mapping[str, Any]) -> tuple[float, float]:
    """Return the ends of an estimate's interval; the figure itself where it has none."""
    value: float = estimate["value"]
    return (value, value) if estimate["low"] is None else (estimate["low"], estimate["high"])


def _cell(name: str, value: Any, scale: tuple[float, float]) -> dict[str, Any]:
    """Return a cell; an estimate's has places of 0 to 100 on the `scale` of the group."""
    if value is None or value == "":
        return {"text": "", "sort": ""}
    if name == "estimate":
        low, high = _ends(value)
        interval = f"{low:.3f}–{high:.3f}" if low < high else ""
        start, end = scale
        ends = {"low": low, "high": high, "at": value["value"]}
        places = {key: round(100 * (at - start) / (end - start), 2) for key, at in ends.items()}
        return {"text": f"{value['value']:.3f}", "sort": value["value"], "interval": interval, **places}
    if name in ("test", "unheard_recall"):
        return {"text": f"{value['value']:.3f}", "sort": value["value"]}
    if name in COUNTS:
        return {"text": f"{value:,.0f}", "sort": value}
    if name in ("private", "public"):
        return {"text": f"{value:.5f}", "sort": value}
    return {"text": f"{value:.3f}" if isinstance(value, float) else str(value), "sort": value}
