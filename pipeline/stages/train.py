"""train: fit one run's model on the corpus for one fold; killed, it goes on where it was."""

import os

from pipeline import processes
from pipeline.jobs import launching
from pipeline.jobs.recipes import learns_in_batches
from pipeline.jobs.trainings import Trainings, share_threads
from pipeline.layout import Layout


def main(layout: Layout, name: str, fold: int = 0) -> None:
    """Train the run `name` for one fold; publish its model (a checkpoint in the hub's format) and its curves.

    With `at_once`, trainings that come after it go on beside it; their own stages find them learnt.
    Raises PipelineError for bad parameters, a missing corpus or checkpoint, a fold that the corpus has not, or a
    training of this run and fold that goes on.
    """
    trainings, company = Trainings(layout), None
    run = trainings.run(name)
    shared_by = launching.processes_of(run.processes) if learns_in_batches(run) else 1
    if shared_by > 1 and not launching.is_launched():
        launching.launch(shared_by, "train", name, str(fold))
        return
    work = trainings.work(name, fold)
    if run.at_once > 1 and learns_in_batches(run) and not launching.is_launched():
        share_threads(run.at_once)
        if processes.ALONE not in os.environ:
            company = trainings.beside(name, fold, run.at_once)
    work.learn(beside=company)
