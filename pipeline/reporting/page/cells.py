"""The clips behind each cell of a confusion matrix."""

from typing import Any

import numpy as np

from pipeline.reporting.page.clipbook import ClipBook
from pipeline.reporting.page.evidence import JudgedRun

OF_EACH = 12  # clips that a cell lists
LARGEST = 45  # labels of which a matrix can be read


def cells(evidence: JudgedRun, book: ClipBook, of_each: int = OF_EACH) -> dict[str, list[list[Any]]]:
    """Return by "truth,decided" (indices of labels) the number of each clip and its probability of the decided label.

    In cells of errors the surest come first, on the diagonal the least sure. At most `of_each` clips a cell.
    """
    assert evidence.decided is not None
    values = evidence.values[np.arange(len(evidence.rows)), evidence.decided]
    found: dict[str, list[list[Any]]] = {}
    order = np.argsort(np.where(evidence.wrong, -values, values), kind="stable")
    for place in order.tolist():
        listed = found.setdefault(f"{evidence.truth[place]},{evidence.decided[place]}", [])
        if len(listed) < of_each:
            listed.append([book.name(int(evidence.rows[place])), round(float(values[place]), 3)])
    return found


def carry_errors(evidence: JudgedRun, book: ClipBook, runs: list[JudgedRun]) -> None:
    """Carry the clips of the cells of errors, round by round, the largest cell first, while there is room."""
    assert evidence.decided is not None
    counts = evidence.counts
    np.fill_diagonal(counts, 0)
    values = evidence.values[np.arange(len(evidence.rows)), evidence.decided]
    queues = []
    for cell in np.argsort(-counts, axis=None, kind="stable").tolist():
        truth, decided = divmod(cell, len(evidence.labels))
        if counts[truth, decided]:
            places = np.flatnonzero((evidence.truth == truth) & (evidence.decided == decided))
            queues.append(places[np.argsort(-values[places], kind="stable")][:OF_EACH].tolist())
    for turn in range(OF_EACH):
        for places in queues:
            if not book.has_room:
                return
            if turn < len(places):
                book.carry(int(evidence.rows[places[turn]]), runs)
