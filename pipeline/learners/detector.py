"""A separate classifier for silence and unknown beside a run's own, which then only tells the words apart."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.clips.labels import SILENCE, UNKNOWN
from pipeline.errors import PipelineError
from pipeline.examples.training_data import Examples, TrainingData, refuse_soft_labels
from pipeline.learners import epochs
from pipeline.learners.classifier import Classifier, predicted

WORD = "word"
FOLDER = "detector"  # in the run's folders of weights, checkpoints and curves


def groups_of(labels: list[str]) -> tuple[list[str], NDArray[np.int64]]:
    """Return the detector's labels ("word", then unknown and silence where there are such), and each label's group.

    Raises PipelineError if `labels` hold neither, or nothing else.
    """
    groups = [WORD, *(label for label in (UNKNOWN, SILENCE) if label in labels)]
    if len(groups) == 1 or len(groups) > len(labels):
        raise PipelineError(
            f"A detector tells words from unknown and silence; this run's labels are {', '.join(labels)}.\n"
            "Delete `detector` of the run in params.yaml."
        )
    return groups, np.array([groups.index(label) if label in groups else 0 for label in labels])


class WithDetector:
    """Two classifiers behind the shape of one: `detector` says how likely silence, unknown and any word at all are,
    `words`, which learns all labels, how that of a word is shared out among the words.

    Raises PipelineError as `groups_of`, and if a clip may have several labels.
    """

    def __init__(self, words: Classifier, detector: Classifier) -> None:
        if words.multi_label:
            raise PipelineError(
                "A detector tells silence from words, but these clips may have several labels.\n"
                "Delete `detector` of the run in params.yaml."
            )
        self.words = words
        self.detector = detector
        self.labels = words.labels
        self.multi_label = False
        groups, self._group = groups_of(words.labels)
        if detector.labels != groups:
            raise ValueError(f"the detector's labels are {detector.labels}, not {groups}")

    def fit(self, data: TrainingData, work: Path, live: Path) -> None:
        """Fit one after the other on the same clips; each has its own checkpoints, so a killed training goes on.

        Each chooses its own epoch, so each has a record of them (pipeline.learners.epochs), the detector's in a folder
        of its own. Where one alone chose, what the other says at its end stands for its only epoch. Raises
        PipelineError for soft labels.
        """
        coarse = replace(
            data,
            train=in_groups(data.train, self._group),
            validation=in_groups(data.validation, self._group),
            judged=None,  # the groups are what a detector tells
        )
        (work / FOLDER).mkdir(parents=True, exist_ok=True)
        self.words.fit(data, work, live)
        self.detector.fit(coarse, work / FOLDER, live / FOLDER)
        if os.environ.get("RANK", "0") == "0":  # of several processes, only the first reads and writes there
            parts = ((self.words, work), (self.detector, work / FOLDER))
            left = [(part, folder) for part, folder in parts if epochs.read(folder) is None]
            if len(left) == 1:
                part, folder = left[0]
                epochs.record(folder, 1, predicted(part, data.validation.read, data.validation.rows))

    def predict_proba(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Return float32 [clips, labels] for [clips, *shape]; rows sum to 1."""
        return combine(self.words.predict_proba(inputs), self.detector.predict_proba(inputs), self._group)

    def save(self, folder: Path) -> None:
        """Write what both write, the detector's in a folder of its own."""
        self.words.save(folder)
        (folder / FOLDER).mkdir()
        self.detector.save(folder / FOLDER)


def in_groups(examples: Examples, group: NDArray[np.int64]) -> Examples:
    """Return the same clips with their labels' groups as targets. Raises PipelineError for soft labels."""
    refuse_soft_labels(examples, "Detectors")
    return replace(examples, targets=group[examples.targets])


def combine(fine: NDArray[np.float32], coarse: NDArray[np.float32], group: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return float32 [clips, labels]: each group's probability `coarse` [clips, groups], shared among its labels as
    `fine` [clips, labels] shares them; evenly where `fine` gives none of them anything. `group` is int [labels].
    """
    combined = np.empty_like(fine)
    for number in range(coarse.shape[1]):
        members = group == number
        shares = fine[:, members].astype(np.float64) + 1e-12
        combined[:, members] = coarse[:, [number]] * shares / shares.sum(axis=1, keepdims=True)
    return combined
