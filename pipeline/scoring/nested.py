"""Estimates on clips on which nothing was chosen: the tables of clips out of fold, and what is fitted without a block.

All that is chosen (a net's epoch, a vote's weights, a rule's thresholds) is chosen on the out-of-fold clips. So their
speakers are dealt into blocks, and each block is judged by choices that were made on the other blocks alone (nested
cross-validation: Varma and Simon, BMC Bioinformatics 7:91, 2006). The nets of the other folds did learn from the
block's clips: to train them again without would take five times as long, and what is chosen is few numbers.
"""

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.clips.corpus import Corpus
from pipeline.errors import PipelineError
from pipeline.scoring import truth
from pipeline.scoring.probabilities import Probabilities

BLOCKS = 5
TINY = 1e-6
FAINT = 1e-30  # a smaller probability counts as this one
FEWEST = 20  # clips without a label from which the level of a net can be told
FILE, FOLDER = "out_of_fold.parquet", "nested"

# Chooses on the probabilities of some clips and their indices in the table; what it returns decides others: [clips].
Decide = Callable[[Probabilities], NDArray[np.int64]]
Fit = Callable[[Probabilities, NDArray[np.int64]], Decide]


def blocks_of(groups: Sequence[str], blocks: int = BLOCKS, seed: int = 0) -> NDArray[np.int64]:
    """Return a block for each clip, int64 [clips], 0 to `blocks` - 1: whole groups, as even as these allow.

    Depends on the groups and their sizes only, not on the order of the clips. The largest group comes first, each into
    the smallest block so far (Graham, SIAM Journal on Applied Mathematics 17, 1969); `seed` orders groups of one size.
    Fewer groups than blocks leave blocks without clips. Half a second for 100,000 groups.
    """
    names, index, sizes = np.unique(np.asarray(groups, dtype=str), return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-sizes[order], kind="stable")]
    heap = [(0, block) for block in range(blocks)]  # clips so far, block
    block_of_group = np.empty(len(names), np.int64)
    for group in order.tolist():
        clips, block = heap[0]
        block_of_group[group] = block
        heapq.heapreplace(heap, (clips + int(sizes[group]), block))
    return block_of_group[index]


def blocks_by_clip(corpus: Corpus) -> dict[str, int]:
    """Return the block of each out-of-fold clip by its name in the tables: for all stages the same."""
    rows = truth.judged_rows(corpus, "out_of_fold")
    speakers = truth.speakers_of(corpus, np.fromiter(rows.values(), np.int64, len(rows)))
    return dict(zip(rows, blocks_of(speakers, seed=corpus.seed).tolist(), strict=True))


@dataclass(frozen=True)
class OutOfFold:
    """Probabilities of clips by nets that never heard their speakers.

    `table` is of the final choices. `nested` holds, by block, the same clips by choices that were made without the
    block's clips, in memory or as the file to read when it is asked for; empty where nothing was chosen before.
    `speakers` [clips], `blocks` int64 [clips]. Raises ValueError unless both are one a clip of the table.
    """

    table: Probabilities
    speakers: list[str] = field(repr=False)
    blocks: NDArray[np.int64] = field(repr=False)
    nested: Mapping[int, Probabilities | Path] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not len(self.table.clips) == len(self.speakers) == len(self.blocks):
            raise ValueError(
                f"{len(self.table.clips)} clips need as many speakers and blocks; "
                f"got {len(self.speakers)} and {len(self.blocks)}"
            )

    @classmethod
    def read(cls, folder: Path, corpus: Corpus) -> "OutOfFold":
        """Read what `write` or the stage predict wrote to `folder`.

        Raises PipelineError if the table is missing, broken or not of this corpus, or if only some blocks have theirs.
        """
        table = Probabilities.read(folder / FILE)
        speakers = truth.speakers_of(corpus, truth.rows_of(corpus, "out_of_fold", table))
        block_of = blocks_by_clip(corpus)
        own = np.array([block_of[clip] for clip in table.clips], np.int64)
        nested = {int(block): folder / FOLDER / f"{block}.parquet" for block in np.unique(own)}
        if not (folder / FOLDER).exists():
            nested = {}
        if missing := sorted(str(path) for path in nested.values() if not path.exists()):
            raise PipelineError(f"There is no {missing[0]}. Run `dvc repro` to predict run '{table.run}' anew.")
        return cls(table, speakers, own, nested)

    def write(self, folder: Path) -> None:
        """Write out_of_fold.parquet, and nested/<block>.parquet where there are such tables."""
        self.table.write(folder / FILE)
        for block in self.nested:
            self.without(block).write(folder / FOLDER / f"{block}.parquet")

    def without(self, block: int) -> Probabilities:
        """Return all clips by choices made without those of the block; `table` where nothing was chosen before.

        Raises PipelineError if its file is broken, or has other clips or labels than `table`.
        """
        found = self.nested.get(block, self.table)
        if not isinstance(found, Path):
            return found
        table = Probabilities.read(found)
        if (table.clips, table.labels, table.corpus) != (self.table.clips, self.table.labels, self.table.corpus):
            raise PipelineError(
                f"{found} has other clips or labels than {FILE} of run '{self.table.run}'. "
                "Run `dvc repro` to predict it anew."
            )
        return table

    def nested_table(self) -> Probabilities:
        """Return each clip's probabilities by choices made without its block."""
        values = np.empty_like(self.table.values)
        for block in np.unique(self.blocks).tolist():
            inside = self.blocks == block
            values[inside] = self.without(block).values[inside]
        return replace(self.table, values=values)

    def aligned(self, truth: NDArray[np.float32], fold_of: NDArray[np.int64]) -> "OutOfFold":
        """Return the same clips with scores that nets of several folds and epochs may be ranked by together.

        Average precision ranks all clips; what one net calls 0.6 may be another's 0.5. So the log-odds of each label
        are counted from their median among the fold's clips without the label, in median absolute deviations. (On
        simulated nets that differ in that alone, the average precision is within 0.02 of each net's, of labels of 10 to
        400 among 1,000 clips, however the folds hold them; as it is, up to 0.15 too low. The median of all clips would
        wipe out how many of a fold have the label.) A label that nearly all clips of a fold have stays as it is.
        `truth` [clips, labels] is 0 or 1, NaN where it is not known; `fold_of` int [clips] is the fold that each clip
        judges. The clips of one net keep their order.
        """

        def aligned(table: Probabilities) -> Probabilities:
            return replace(table, values=_aligned(table.values, truth, fold_of))

        nested = {block: aligned(self.without(block)) for block in self.nested}
        return replace(self, table=aligned(self.table), nested=nested)


def _aligned(
    values: NDArray[np.float32], truth: NDArray[np.float32], fold_of: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return float32 [clips, labels], 0 to 1, in the order of what `OutOfFold.aligned` tells."""
    exact = values.astype(np.float64)
    log_odds = np.log(np.maximum(exact, FAINT)) - np.log(np.maximum(1 - exact, FAINT))
    folds = [fold_of == fold for fold in np.unique(fold_of)]
    for label in range(values.shape[1]):
        lacks = truth[:, label] == 0
        if min((own & lacks).sum() for own in folds) < FEWEST:
            continue
        for own in folds:
            level = log_odds[own & lacks, label]
            middle = np.median(level)
            deviation = max(np.median(np.abs(level - middle)), TINY)
            log_odds[own, label] = (log_odds[own, label] - middle) / deviation
    # By logarithms, so that float32 tells apart what a label's tiny deviation has made large.
    size = np.log1p(np.abs(log_odds)) / np.log1p(-4 * np.log(FAINT) / TINY)
    return (0.5 + 0.5 * np.sign(log_odds) * size).astype(np.float32)


def decide_nested(out_of_fold: OutOfFold, fit: Fit) -> NDArray[np.int64]:
    """Return the decision of each clip by what `fit` chose on the clips of the other blocks: int64 [clips].

    Where all clips are of one block, `fit` gets no clips to choose on.
    """
    decided = np.empty(len(out_of_fold.blocks), np.int64)
    for block in np.unique(out_of_fold.blocks).tolist():
        inside = out_of_fold.blocks == block
        probabilities = out_of_fold.without(block)
        decide = fit(probabilities.select(~inside), np.flatnonzero(~inside))
        decided[inside] = decide(probabilities.select(inside))
    return decided
