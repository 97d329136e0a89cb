"""Evidence made by hand, without a corpus."""

import numpy as np

from pipeline.reporting.page.evidence import JudgedRun
from pipeline.scoring.probabilities import Probabilities


def evidence_of(values, truth, decided=None, labels=None, speakers=None) -> JudgedRun:
    """Evidence of clips 0.wav, 1.wav, ... decided by the argmax."""
    values, truth = np.asarray(values, np.float32), np.asarray(truth)
    labels = labels or [f"label {number}" for number in range(values.shape[1])]
    clips = [f"{number}.wav" for number in range(len(values))]
    if truth.ndim == 1 and decided is None:
        decided = values.argmax(axis=1)
    fine = Probabilities(clips, labels, values, "run", exclusive=truth.ndim == 1)
    rows = np.arange(len(values))
    return JudgedRun("run", labels, truth, decided, values, fine, rows, speakers or [f"s{row}" for row in rows])
