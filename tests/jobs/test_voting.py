from types import SimpleNamespace

import numpy as np

from pipeline.examples.task import Task
from pipeline.jobs.voting import Election
from pipeline.scoring.settings import Ensemble


def test_a_vote_on_another_question_is_judged_as_its_runs_are():
    """Each label counts alike, not each clip: where nine of ten have one label, saying it always is no answer."""

    def shares(exclusive):
        target = SimpleNamespace(exclusive=exclusive, labels=["speech", "other"])
        task, truth = Task(target="speaker"), np.zeros(1)
        return Election(Ensemble(), None, task, target, {}, {}, truth, None, "uniform", []).shares(truth)

    assert shares(exclusive=True).tolist() == [0.5, 0.5]
    assert shares(exclusive=False) is None
