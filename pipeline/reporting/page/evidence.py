"""What a run said of the clips that judge it, beside what is true of them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline import metrics
from pipeline.clips.corpus import Corpus
from pipeline.errors import PipelineError
from pipeline.examples.target import target_of
from pipeline.examples.task import Task
from pipeline.scoring import truth
from pipeline.scoring.judged import Decisions
from pipeline.scoring.probabilities import Probabilities


@dataclass(frozen=True)
class JudgedRun:
    """Clips out of fold, each judged by choices that were made without it; those alone whose truth is known.

    `truth` is int64 [clips], an index of `labels`, or bool [clips, labels] where a clip may have several; `decided` is
    the index of what was decided, None there. `values` is float32 [clips, labels], `fine` the same over the run's own
    labels: words, where it learns words. `rows` are the clips' rows in the corpus.
    """

    run: str
    labels: list[str]
    truth: NDArray[np.int64] | NDArray[np.bool_]
    decided: NDArray[np.int64] | None
    values: NDArray[np.float32]
    fine: Probabilities
    rows: NDArray[np.int64]
    speakers: list[str]

    @property
    def clips(self) -> list[str]:
        return self.fine.clips

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """Whether each clip was decided wrongly, [clips]; of several labels, whether any is wrong at 0.5."""
        if self.decided is None:
            apart: NDArray[np.bool_] = ((self.values >= 0.5) != self.truth).any(axis=1)
            return apart
        return np.asarray(self.decided != self.truth)

    @property
    def counts(self) -> NDArray[np.int64]:
        """The confusion matrix, int64 [labels, labels]: rows are the truth."""
        assert self.decided is not None
        return metrics.confusion(self.truth, self.decided, len(self.labels))


def read(path: Path, corpus: Corpus, task: Task, run: str) -> JudgedRun:
    """Return the evidence of a run from its judged.parquet.

    Raises PipelineError if it is missing, or of other clips or labels.
    """
    judged = Decisions.read(path)
    target = target_of(corpus, task.model_copy(update={"vocabulary": "commands"}))
    table = judged.table
    rows = truth.rows_of(corpus, "out_of_fold", table)
    wanted = truth.truth_of(corpus, "out_of_fold", table, target)
    known = np.flatnonzero(wanted >= 0 if target.exclusive else ~np.isnan(wanted).any(axis=1))
    fine = table.select(known)
    coarse = fine.to_submission_labels(corpus.vocabulary.commands) if task.is_submitted else fine
    decided = None
    if target.exclusive:
        index = {label: place for place, label in enumerate(target.labels)}
        if strange := sorted({str(label) for label in judged.decided[known]} - set(index)):
            raise PipelineError(
                f"{path} was decided for another question: its labels are {', '.join(strange)}. Run: dvc repro"
            )
        decided = np.array([index[label] for label in judged.decided[known]], np.int64)
    return JudgedRun(
        run,
        target.labels,
        wanted[known] if target.exclusive else wanted[known] > 0.5,
        decided,
        coarse.values,
        fine,
        rows[known],
        truth.speakers_of(corpus, rows[known]),
    )
