"""train: fit one run's model on the corpus for one fold; killed, it goes on where it was."""

import numpy as np

from pipeline import params, runs
from pipeline.clips.corpus import Corpus
from pipeline.examples import pseudo_labels
from pipeline.examples.from_corpus import SoftLabels
from pipeline.examples.target import target_of
from pipeline.jobs import launching
from pipeline.jobs.fitting import Publication, fit
from pipeline.jobs.recipes import Run, learns_in_batches, read_run
from pipeline.layout import Layout


def main(layout: Layout, name: str, fold: int = 0) -> None:
    """Train the run `name` for one fold; publish its model (a checkpoint in the hub's format) and its curves.

    Raises PipelineError for bad parameters, a missing corpus or checkpoint, a fold that the corpus has not, or a
    training of this run and fold that goes on.
    """
    tree = params.read(layout.params)
    run, is_student = read_run(tree, name), name in runs.students(tree)
    processes = launching.processes_of(run.processes) if learns_in_batches(run) else 1
    if processes > 1 and not launching.is_launched():
        launching.launch(processes, "train", name, str(fold))
        return
    paths = layout.run(name, is_student)
    corpus = Corpus.open(layout.prepare)
    soft = _soft_labels(layout, corpus, run, name, fold) if is_student else None
    timing = layout.timing(name, f"train-{fold}")
    to = Publication(paths.work(fold), paths.model(fold), paths.live(fold), timing)
    fit(run, f"runs.{name}", corpus, fold, params.seed(tree) + run.seed, layout.encode, layout.checkpoints, to, soft)


def _soft_labels(layout: Layout, corpus: Corpus, run: Run, name: str, fold: int) -> SoftLabels:
    assert run.pseudo_labels is not None  # read_run gives it to all students
    path = layout.pseudo_labels(name) / f"{fold}.parquet"
    clips, values = pseudo_labels.read(path, target_of(corpus, run).labels)
    rows = corpus.select("test")
    row_of = dict(zip(corpus.rows["clip"].to_numpy()[rows], rows, strict=True))
    return SoftLabels(np.array([row_of[clip] for clip in clips], np.int64), values, run.pseudo_labels)
