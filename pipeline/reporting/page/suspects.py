"""Training labels that are probably wrong: confident learning over the out-of-fold table."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.clips.corpus import Corpus
from pipeline.clips.labels import SILENCE
from pipeline.examples.target import target_of
from pipeline.examples.task import Task
from pipeline.reporting.page.evidence import JudgedRun


def find(evidence: JudgedRun, corpus: Corpus, task: Task, most: int) -> list[dict[str, Any]]:
    """Return the clips whose given label is probably not theirs, the surest first: place in `evidence`, given label,
    the label that the nets heard, and the probability that they give to the one that stands there.

    Labels are the run's own, words where it learns words, so that a "bed" that says "bird" is found. The method is
    cleanlab's (Northcutt, Jiang and Chuang, JAIR 70, 2021), ranked by the probability of the given label. Silence is
    made of noise here and has no label that could be wrong. None where a clip may have several labels.
    """
    if evidence.decided is None or not len(evidence.rows):
        return []
    target = target_of(corpus, task)
    if target.labels != evidence.fine.labels:  # a vote over the submission's labels
        target = target_of(corpus, task.model_copy(update={"vocabulary": "commands"}))
    given = np.asarray(target.values[evidence.rows], np.int64)
    values = evidence.fine.values.astype(np.float64)
    found = _issues(given, values / values.sum(axis=1, keepdims=True))
    names = evidence.fine.labels
    suspects = [
        {"place": int(place), "given": names[given[place]], "heard": names[int(values[place].argmax())]}
        | {"probability": float(values[place, given[place]])}
        for place in found
        if names[given[place]] != SILENCE
    ]
    return suspects[:most]


def _issues(given: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the places of the suspicious clips, the surest first. Labels that no clip has are left out before."""
    from cleanlab.filter import find_label_issues  # here, since it takes a second

    present = np.unique(given)
    if len(present) < 2:
        return np.empty(0, np.int64)
    renumbered = np.searchsorted(present, given)
    among = values[:, present]
    total = among.sum(axis=1, keepdims=True)
    among = np.divide(among, total, out=np.full_like(among, 1 / len(present)), where=total > 1e-12)
    issues = find_label_issues(renumbered, among, return_indices_ranked_by="self_confidence", n_jobs=1)
    return np.asarray(issues, np.int64)
