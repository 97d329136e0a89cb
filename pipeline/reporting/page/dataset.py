"""What the data looked like: how many clips of each label, what an epoch makes of them, what was left out, how it
sounds."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas
from numpy.typing import NDArray

from pipeline.clips.corpus import Corpus
from pipeline.clips.labels import SILENCE
from pipeline.examples.rebalancing import Rebalancing, epoch_indices
from pipeline.examples.target import Target
from pipeline.reporting.page.clipbook import ClipBook

LABELS = 60  # that a table has room for; of more, the most frequent
REASONS = 12
EXAMPLES = 14  # to be heard


def counts(corpus: Corpus, target: Target) -> dict[str, Any]:
    """Return the table of clips by label and part: `columns`, and `rows` of a label and its counts.

    Parts are the splits; of several folds, the clips that judge each. Speakers are the last row.
    """
    rows = corpus.rows
    split, fold = rows["split"].to_numpy(), rows["fold"].to_numpy()
    parts: dict[str, NDArray[np.bool_]] = {}
    if corpus.folds > 1:
        parts |= {f"fold {number}": fold == number for number in range(corpus.folds)}
    for name in ("train", "validation", "holdout"):
        parts[name] = (split == name) & ((fold < 0) | (name != "train"))
    parts = {name: part for name, part in parts.items() if part.any()}
    held = {name: _held(target, part) for name, part in parts.items()}
    total = np.sum(list(held.values()), axis=0) if held else np.zeros(len(target.labels))
    shown = list(range(len(target.labels)))
    if len(shown) > LABELS:
        shown = np.argsort(-total, kind="stable")[:LABELS].tolist()
    table = [{"label": target.labels[one], "counts": [int(held[name][one]) for name in parts]} for one in shown]
    speakers = rows["speaker"]
    voices = [int(speakers[part].nunique()) for part in parts.values()]
    return {
        "columns": list(parts),
        "rows": table,
        "clips": [int(part.sum()) for part in parts.values()],
        "speakers": voices if any(voices) else None,
        "left_out": len(target.labels) - len(shown),
        "test": int((split == "test").sum()),
    }


def rebalanced(corpus: Corpus, target: Target, settings: Rebalancing, fold: int) -> list[dict[str, Any]]:
    """Return the bars of clips by label, before and after rebalancing, for the nets of a fold."""
    rows = target.among(corpus.training_rows(fold))
    labels = np.asarray(target.labels)[target.values[rows]]
    words = corpus.rows["word"].to_numpy()[rows].astype(str)
    epoch = epoch_indices(labels, words, settings, epoch=0, seed=corpus.seed)
    bars = []
    for part, some in (("in the archive", labels), ("in an epoch", labels[epoch])):
        names, times = np.unique(some, return_counts=True)
        found = dict(zip(names.tolist(), times.tolist(), strict=True))
        bars += [{"label": label, "part": part, "clips": int(found.get(label, 0))} for label in target.labels]
    return bars


def quarantine(path: Path) -> dict[str, Any]:
    """Return what prepare left out or changed: counts by part, action and reason, and the first clips of each."""
    table = pandas.read_csv(path, dtype=str, keep_default_na=False) if path.exists() else pandas.DataFrame()
    if table.empty:
        return {"clips": 0, "kinds": []}
    kinds = []
    for (part, action, reason), group in table.groupby(["part", "action", "reason"], sort=True):
        kinds.append(
            {"part": part, "action": action, "reason": reason, "clips": len(group)}
            | {"such_as": group["clip"].tolist()[:3]}
        )
    kinds.sort(key=lambda kind: -kind["clips"])
    return {"clips": len(table), "kinds": kinds[:REASONS], "left_out": max(0, len(kinds) - REASONS)}


def examples(corpus: Corpus, target: Target, book: ClipBook) -> list[dict[str, Any]]:
    """Return a training clip of each label, to be heard: the first whose speaker no example before has."""
    found: list[dict[str, Any]] = []
    seen: set[str] = set()
    split = (corpus.rows["split"] == "train").to_numpy() & corpus.rows["readable"].to_numpy() & target.known
    speakers = corpus.rows["speaker"].to_numpy()
    for place, label in enumerate(target.labels):
        has = target.values == place if target.exclusive else target.values[:, place] > 0.5
        rows = np.flatnonzero(split & has)
        if len(rows) and len(found) < EXAMPLES and book.has_room:
            row = next((row for row in rows.tolist() if str(speakers[row]) not in seen), int(rows[0]))
            if label != SILENCE:
                seen.add(str(speakers[row]))
            found.append({"label": label, "clip": book.carry(row)})
    return found


def _held(target: Target, part: NDArray[np.bool_]) -> NDArray[np.int64]:
    values = target.values[part & target.known]
    if not target.exclusive:
        return np.asarray((values > 0.5).sum(axis=0), np.int64)
    return np.bincount(values.astype(np.int64), minlength=len(target.labels))
