"""Which epoch's net is judged, when the judged clips had no say in it: the tables that nested estimates are made of.

A net's weights are those of the epoch that did best on its fold's clips, so a figure on the same clips is too kind.
Every epoch's probabilities of them were kept. For each block of clips the epoch is chosen again on the fold's other
clips, and that epoch's probabilities judge the block. A net and its detector each chose an epoch of their own, and so
they do here. Where it is the epoch whose net was kept, what that net says by all its looks judges the block, as it is
what is submitted; of another epoch only what it says of the clips as they are is known.
"""

from collections.abc import Mapping
from dataclasses import replace
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

# What chose an epoch by itself: probabilities [epochs, clips, labels], the truth, which labels count as one.
_Part = tuple[NDArray[np.float16], NDArray[Any], NDArray[np.int64] | None]


def nested_tables(folder: Path, corpus: Corpus, target: Target, task: Task, models: Mapping[int, Path]) -> None:
    """Write nested/<block>.parquet beside out_of_fold.parquet in `folder`; nothing where no fold chose an epoch.

    `models` are the folders of the folds' trained models. A table is out_of_fold.parquet with, for each fold whose best
    epoch is another one on the clips outside the block, the probabilities of that epoch.
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
        rows = target.among(corpus.judged_rows(fold))
        blocks = np.array([block_of[name] for name in names[rows]])
        truth, everything = target.values[rows], np.full(len(rows), True)
        parts: list[_Part] = [(values, truth, judged)]
        if coarse is not None:
            _, group = detector.groups_of(target.labels)
            parts.append((coarse, group[truth], None))
        of_kept = [_best(*part, everything) for part in parts]
        for block, nested in tables.items():
            best = [_best(*part, blocks != block) for part in parts]
            if best == of_kept:
                continue  # what the kept net says by all its looks
            given, *heard = (part[0][epoch].astype(np.float32) for part, epoch in zip(parts, best, strict=True))
            if heard:
                given = detector.combine(given, heard[0], group)
            clips, chosen = by_recording(names[rows], given)
            nested[[index[clip] for clip in clips]] = chosen
    for block, nested in tables.items():
        replace(table, values=nested).write(folder / FOLDER / f"{block}.parquet")


def _best(
    values: NDArray[np.float16],
    truth: NDArray[Any],
    judged: NDArray[np.int64] | None,
    counted: NDArray[np.bool_],
) -> int:
    """Return the first epoch that does best on the counted clips, the last without such.

    `values` is [epochs, clips, labels]; `truth` and `judged` are as in `pipeline.learners.judging`.
    """
    if not counted.any():
        return len(values) - 1
    return int(np.argmax([judging.figure_of(epoch[counted], truth[counted], judged) for epoch in values]))
