"""A training as the stage begins it, and others beside it: several that use a core each go on faster than one on all.

`python -m pipeline.jobs.trainings RUN FOLD` is one of those beside it. It publishes nothing: DVC deletes a stage's
outputs before it runs it. What was learnt waits among the checkpoints, where the stage finds it as after a kill.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from pipeline import params, processes, runs
from pipeline.clips.corpus import Corpus
from pipeline.errors import PipelineError
from pipeline.examples import pseudo_labels
from pipeline.examples.from_corpus import SoftLabels
from pipeline.examples.target import target_of
from pipeline.jobs.fitting import Publication, Work, work_of
from pipeline.jobs.recipes import Run, learns_in_batches, read_run
from pipeline.layout import Layout


class Trainings:
    """The trainings that params.yaml lists, each by its run's name and its fold. Raises PipelineError for bad ones."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._tree = params.read(layout.params)

    @cached_property
    def _corpus(self) -> Corpus:
        return Corpus.open(self._layout.prepare)

    def run(self, name: str) -> Run:
        """Return a run. Raises PipelineError for what is wrong in its entry."""
        return read_run(self._tree, name)

    def work(self, name: str, fold: int) -> Work:
        """Return one training, ready to begin. Raises PipelineError as `stages.train`."""
        layout, run, round_ = self._layout, self.run(name), runs.round_of(self._tree, name)
        paths = runs.paths(layout, self._tree, name)
        soft = self._soft_labels(run, layout.pseudo_labels(name, round_), fold) if round_ > 1 else None
        to = Publication(paths.work(fold), paths.model(fold), paths.live(fold), layout.timing(name, f"train-{fold}"))
        where, seed = runs.where_of(self._tree, name), params.seed(self._tree)
        return work_of(layout, self._corpus, run, name, where, fold, seed, to, soft)

    @contextmanager
    def beside(self, name: str, fold: int, at_once: int) -> Iterator[None]:
        """Let those that come after this one go on beside it, so that there are `at_once`; wait for them at the end.

        They are ended if this one fails. One that fails is only told of: its own stage goes on with it.
        """
        begun = {}
        try:
            for other in islice(self._left(name, fold), at_once - 1):
                begun[other] = _begin(*other, self._log(*other))
            yield
            for other, process in begun.items():
                if process.poll() is None:
                    print("waiting for {}, fold {}, which goes on beside it".format(*other), flush=True)
                if process.wait():
                    print(
                        "{}, fold {}: ended with {}; its own stage goes on with it.".format(*other, process.returncode),
                        f"What it said: {self._log(*other)}",
                        flush=True,
                    )
        finally:
            for process in begun.values():
                process.stdin.close()  # type: ignore[union-attr] # it ends with its input
                process.wait()

    def _left(self, name: str, fold: int) -> Iterator[tuple[str, int]]:
        """Yield what is still to be learnt: of the same student, or of the teachers; what comes after it first."""
        one_round = [name] if name in runs.students(self._tree) else runs.teachers(self._tree)
        all_ = [(run, each) for run in one_round for each in params.folds(self._tree)]
        after = all_.index((name, fold)) + 1 if (name, fold) in all_ else 0
        for other in all_[after:] + all_[: max(0, after - 1)]:
            with suppress(PipelineError):  # its own stage tells what is wrong
                run = self.run(other[0])
                if learns_in_batches(run) and run.at_once > 1:
                    work = self.work(*other)
                    if not (work.is_learnt or work.is_published):
                        yield other

    def _soft_labels(self, run: Run, folder: Path, fold: int) -> SoftLabels:
        assert run.pseudo_labels is not None  # read_run gives it to all students
        clips, values = pseudo_labels.read(folder / f"{fold}.parquet", target_of(self._corpus, run).labels)
        rows = self._corpus.select("test")
        row_of = dict(zip(self._corpus.rows["clip"].to_numpy()[rows], rows, strict=True))
        return SoftLabels(np.array([row_of[clip] for clip in clips], np.int64), values, run.pseudo_labels)

    def _log(self, name: str, fold: int) -> Path:
        return self._layout.run(name).work(fold) / "beside.log"


def share_threads(at_once: int) -> None:
    """Leave the other trainings their share of the processor's cores, unless OMP_NUM_THREADS is set."""
    if at_once > 1 and "OMP_NUM_THREADS" not in os.environ:
        threads = max(1, (os.cpu_count() or 1) // at_once)
        os.environ["OMP_NUM_THREADS"] = str(threads)  # of those that this one begins
        torch.set_num_threads(threads)


def _begin(name: str, fold: int, log: Path) -> "subprocess.Popen[bytes]":
    print(f"beside it: {name}, fold {fold}; what it says goes to {log}", flush=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pipeline.jobs.trainings", name, str(fold)]
    with log.open("wb") as file:
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=file, stderr=subprocess.STDOUT)


def main() -> None:
    processes.set_up()
    processes.end_with_input()
    processes.keep_freed_memory()
    try:
        Trainings(Layout()).work(sys.argv[1], int(sys.argv[2])).learn_ahead()
    except PipelineError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
