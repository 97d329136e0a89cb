"""Which epoch's net is judged, when the judged clips had no say in it: the tables that nested estimates are made of.

A net's weights are those of the epoch that did best on its fold's clips, so a figure on the same clips is too kind.
Every epoch's probabilities of them were kept. For each block of clips the epoch is chosen again on the fold's other
clips, and that epoch's probabilities judge the block. A net and its detector each chose an epoch of their own, and so
they do here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.clips.corpus import Corpus
from pipeline.examples.from_corpus import judged_labels
from pipeline.examples.target import Target
from pipeline.examples.task import Task
from pipeline.jobs.prediction import by_recording
from pipeline.learners import detector, epochs, judging
from pipeline.scoring.nested import FILE, FOLDER, blocks_by_clip
from pipeline.scoring.probabilities import Probabilities
from pipeline.scoring.truth import names_of


def nested_tables(folder: Path, corpus: Corpus, target: Target, task: Task, models: Mapping[int, Path]) -> None:
    """Write nested/<block>.parquet beside out_of_fold.parquet in `folder`; nothing where no fold chose an epoch.

    `models` are the folders of the folds' trained models. A table is out_of_fold.parquet with, for each fold, the
    probabilities of the epoch that does best on the fold's clips outside the block.
    """
    kept = {fold: values for fold, model in models.items() if (values := epochs.load(model)) is not None}
    if not kept:
        return
    table = Probabilities.read(folder / FILE)
    index = {clip: row for row, clip in enumerate(table.clips)}
    block_of = blocks_by_clip(corpus)
    names = names_of(corpus)
    judged = judged_labels(corpus, target.labels) if task.is_submitted else None
    tables = {block: table.values.copy() for block in sorted({block_of[clip] for clip in table.clips})}
    for fold, values in kept.items():
        coarse = epochs.load(models[fold] / detector.FOLDER)
        rows = corpus.judged_rows(fold)
        rows = rows[target.known[rows]]
        blocks = np.array([block_of[name] for name in names[rows]])
        for block, nested in tables.items():
            best = _best(values, target.values[rows], blocks != block, judged)
            if coarse is not None:
                _, group = detector.groups_of(target.labels)
                heard = _best(coarse, group[target.values[rows]], blocks != block, None)
                best = detector.combine(best, heard, group)
            clips, chosen = by_recording(names[rows], best)
            nested[[index[clip] for clip in clips]] = chosen
    for block, nested in tables.items():
        Probabilities(table.clips, table.labels, nested, table.run, table.corpus, table.exclusive).write(
            folder / FOLDER / f"{block}.parquet"
        )


def _best(
    values: NDArray[np.float16],
    truth: NDArray[Any],
    counted: NDArray[np.bool_],
    judged: NDArray[np.int64] | None,
) -> NDArray[np.float32]:
    """Return float32 [clips, labels] of the first epoch that does best on the counted clips, the last without such.

    `values` is [epochs, clips, labels]; `truth` and `judged` are as in `pipeline.learners.judging`.
    """
    best = len(values) - 1
    if counted.any() and truth.ndim == 2:
        best = int(np.argmax([judging.mean_average_precision(epoch[counted], truth[counted]) for epoch in values]))
    elif counted.any():
        best = int(np.argmax([judging.balanced_accuracy(epoch[counted], truth[counted], judged) for epoch in values]))
    return np.asarray(values[best], np.float32)
