"""A run's probabilities of every clip that is judged or submitted, fold by fold; memory stays flat."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pipeline.clips.corpus import Corpus, Split
from pipeline.examples.looks import Look
from pipeline.jobs import launching
from pipeline.jobs.recipes import Reader, Run, learns_in_batches
from pipeline.jobs.sharing import Share
from pipeline.learners.classifier import CHUNK_CLIPS, Classifier, Composite
from pipeline.scoring import probabilities
from pipeline.scoring.nested import FILE
from pipeline.scoring.probabilities import Probabilities, Table
from pipeline.scoring.truth import PARTS, names_of

SPLITS: tuple[Split, ...] = ("holdout", "test")
WORTH_A_PROCESS = 10_000  # looks at clips: one process hears as many while another starts


def processes_for(run: Run, corpus: Corpus, folds: Sequence[int]) -> int:
    """Return how many share a run's clips: its `processes`, or as many as train `at_once` if the clips repay that."""
    if not learns_in_batches(run):
        return 1
    clips = sum(len(corpus.judged_rows(fold)) for fold in folds)
    clips += len(folds) * sum(len(corpus.select(split)) for split in SPLITS)
    at_once = run.at_once if clips * len(run.looks) >= WORTH_A_PROCESS else 1
    return max(at_once, launching.processes_of(run.processes))


class Predictor:
    """Writes the tables of one run to `folder`; `seconds` and `clips` tell how long it took for how many.

    Use it as a context manager: the out-of-fold table takes its place at the end, when all folds are in it. With a
    `share` that is a part, it writes no tables; with that of all parts, it computes nothing.
    """

    def __init__(
        self,
        folder: Path,
        corpus: Corpus,
        run: str,
        labels: list[str],
        exclusive: bool,
        looks: Sequence[Look],
        share: Share | None = None,
    ) -> None:
        self.folder = folder
        self._looks = looks
        self._share = share
        self.seconds, self.clips = share.seconds if share else 0.0, 0
        self._corpus = corpus
        self._names = names_of(corpus)
        self._about = (labels, run, corpus.fingerprint, exclusive)
        self._stack = ExitStack()
        self._judged: list[Table] = []
        self._pieces = 0  # so far, of all tables: who does which goes round

    def __enter__(self) -> "Predictor":
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def judge(self, classifier: Classifier, read: Reader, rows: NDArray[np.int64], fold: int) -> None:
        """Add the clips that judge a fold to out_of_fold.parquet, and to that of each part."""
        if not self._judged:
            self._judged = self._open(self._stack, classifier, FILE)
        self._write(self._judged, classifier, read, rows, f"fold {fold}")

    def write(self, classifier: Classifier, read: Reader, rows: NDArray[np.int64], split: str, fold: int) -> None:
        """Write what the nets of a fold make of the clips of a split: <split>/<fold>.parquet, and that of each part."""
        with ExitStack() as stack:
            tables = self._open(stack, classifier, f"{split}/{fold}.parquet")
            self._write(tables, classifier, read, rows, f"{split}, fold {fold}")

    def _open(self, stack: ExitStack, classifier: Classifier, name: str) -> list[Table]:
        if self._share is not None and self._share.is_part:
            return []
        labels, run, corpus, exclusive = self._about
        folders = [self.folder, *(self.folder / PARTS / part for part in _parts(classifier))]
        return [
            stack.enter_context(probabilities.writing(folder / name, labels, run, corpus, exclusive=exclusive))
            for folder in folders
        ]

    def _write(
        self, tables: list[Table], classifier: Classifier, read: Reader, rows: NDArray[np.int64], what: str
    ) -> None:
        start = time.monotonic()
        with tqdm(total=len(rows), desc=f"{self._about[1]} {what}", unit="clip") as progress:
            for chunk in _chunks(rows, self._names):

                def work(chunk: NDArray[np.int64] = chunk) -> NDArray[np.float32]:
                    return np.stack(_seen(classifier, read(chunk), self._looks))  # [run and parts, clips, labels]

                found = work() if self._share is None else self._share.of(self._pieces, work)
                if found is not None:
                    for table, values in zip(tables, found, strict=True):
                        table.append(*by_recording(self._names[chunk], values))
                self._pieces += 1
                progress.update(len(chunk))
        self.clips, self.seconds = self.clips + len(rows), self.seconds + time.monotonic() - start


def average(folder: Path, split: str) -> None:
    """Write <split>.parquet, the mean over the tables of the folds in <split>/; of a single one, that one."""
    for each in (folder, *(folder / PARTS).glob("*")):
        tables = [Probabilities.read(path) for path in sorted((each / split).glob("*.parquet"))]
        if len(tables) == 1:
            next((each / split).glob("*.parquet")).rename(each / f"{split}.parquet")
            (each / split).rmdir()
        elif tables:
            first = tables[0]
            mean = np.asarray(np.mean([table.values for table in tables], axis=0, dtype=np.float64))
            replace(first, values=mean).write(each / f"{split}.parquet")


def by_recording(names: NDArray[Any], values: NDArray[np.float32]) -> tuple[list[str], NDArray[Any]]:
    """Return each name once, and the mean of its rows: a recording in segments is judged by what its segments are.

    Rows of one name lie side by side.
    """
    unique, first, counts = np.unique(names, return_index=True, return_counts=True)
    if len(unique) == len(names):
        return names.tolist(), values
    order = np.argsort(first)
    return unique[order].tolist(), np.add.reduceat(values, first[order], axis=0) / counts[order, None]


def _parts(classifier: Classifier) -> list[str]:
    return classifier.parts if isinstance(classifier, Composite) else []


def _seen(classifier: Classifier, inputs: NDArray[Any], looks: Sequence[Look]) -> list[NDArray[np.float32]]:
    """Return the mean over the looks of what `_values` returns."""
    first, *others = [_values(classifier, look.at(inputs)) for look in looks]
    if not others:
        return first
    return [np.mean(same, axis=0, dtype=np.float32) for same in zip(first, *others, strict=True)]


def _values(classifier: Classifier, inputs: NDArray[Any]) -> list[NDArray[np.float32]]:
    """Return the probabilities [clips, labels], and after them those of each part of a vote."""
    if not isinstance(classifier, Composite):
        return [classifier.predict_proba(inputs)]
    parts = classifier.predict_parts(inputs)
    return [classifier.combine(parts), *parts]


def _chunks(rows: NDArray[np.int64], names: NDArray[Any]) -> Iterator[NDArray[np.int64]]:
    """Yield stretches of rows, none of which ends between two segments of a recording."""
    start = 0
    while start < len(rows):
        end = min(start + CHUNK_CLIPS, len(rows))
        while end < len(rows) and names[rows[end]] == names[rows[end - 1]]:
            end += 1
        yield rows[start:end]
        start = end
