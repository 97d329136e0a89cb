"""A search as a study of Optuna's: an SQLite store, its sampler and its median rule, and trials that survive a kill."""

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import optuna
from filelock import FileLock, Timeout
from optuna.trial import FrozenTrial, TrialState

from pipeline.locks import held
from pipeline.searching.ranges import Choices, Ranges, Value

STORE, SECONDS, NOTE, COMPLETE = "study.db", "seconds", "note", "complete"
STARTUP_TRIALS = 5  # drawn at random, and never pruned: the sampler and the median need something to go by
COUNTED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)

optuna.logging.set_verbosity(optuna.logging.WARNING)


class Pruned(Exception):  # noqa: N818  # no error: the trial has been seen enough of
    """A trial is worse than the median of those before it."""


@dataclass(frozen=True)
class TrialRow:
    """What is known of a trial; `figure` is that of its best epoch so far where it has not ended."""

    number: int
    state: str
    figure: float | None
    epochs: int
    seconds: float | None
    values: dict[str, Value]


class Trial:
    """One set of values, under a lock that a kill gives up."""

    def __init__(self, trial: optuna.Trial, values: dict[str, Value], is_resumed: bool) -> None:
        self._trial = trial
        self.number = trial.number
        self.values = values
        self.is_resumed = is_resumed

    def report(self, epoch: int, figure: float) -> None:
        """Note the figure of an epoch (from 1). Raises Pruned if the trial is not worth going on with."""
        # An epoch that was killed before its checkpoint comes again.
        if epoch not in _frozen(self._trial.study, self.number).intermediate_values:
            self._trial.report(figure, epoch)
        if self._trial.should_prune():
            raise Pruned

    def end(self, figure: float | None, seconds: float, note: str = "") -> None:
        """Close the trial, pruned where there is no figure."""
        self._trial.set_user_attr(SECONDS, seconds)
        if note:
            self._trial.set_user_attr(NOTE, note)
        state = TrialState.PRUNED if figure is None else TrialState.COMPLETE
        self._trial.study.tell(self._trial.number, figure, state=state)


class Study:
    """The study called `name` in the folder's store; several processes may work on it at once.

    `warmup` is the number of epochs in which nothing is pruned; `first` are the values of the first trial.
    """

    def __init__(
        self, folder: Path, name: str, ranges: Ranges, seed: int, warmup: int, first: dict[str, Value] | None
    ) -> None:
        self.folder = folder / name
        self.folder.mkdir(parents=True, exist_ok=True)
        self._seed = seed
        self._ranges = ranges
        self.starts_from_the_run = first is not None
        with self._alone():
            self._study = optuna.create_study(
                storage=f"sqlite:///{(folder / STORE).resolve()}",
                study_name=name,
                direction="maximize",
                load_if_exists=True,
                pruner=optuna.pruners.MedianPruner(STARTUP_TRIALS, warmup + 1),
            )
            if first is not None and not self._study.get_trials(deepcopy=False):
                self._study.enqueue_trial(first)

    @contextmanager
    def next(self, trials: int) -> Iterator[Trial | None]:
        """Yield the next trial of `trials` in all, one that a kill left first; None where there is none left."""
        with self._alone():
            trial, lock = self._left_by_a_kill() or self._new(trials)
        try:
            yield trial
        finally:
            if lock is not None:
                lock.release()

    def rows(self) -> list[TrialRow]:
        """Return all trials in the order of their numbers."""
        trials = self._study.get_trials(deepcopy=False)
        return [self._row(trial) for trial in trials if trial.state != TrialState.WAITING]

    def best(self) -> TrialRow | None:
        """Return the best of the trials that have ended well, the first of equals, None if there is none."""
        ended = [row for row in self.rows() if row.state == COMPLETE and row.figure is not None]
        return max(ended, key=lambda row: row.figure or 0.0, default=None)

    def place(self, number: int) -> Path:
        """Return the folder of a trial."""
        return self.folder / str(number)

    def _left_by_a_kill(self) -> tuple[Trial, FileLock] | None:
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            lock = self._lock(trial.number)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue  # another process is at it
            self._draw_as(trial.number)
            left = optuna.Trial(self._study, trial._trial_id)
            self._draw(left)  # nothing new, unless the kill came while the values were drawn
            return Trial(left, self._values(_frozen(self._study, left.number)), is_resumed=True), lock
        return None

    def _new(self, trials: int) -> tuple[Trial | None, FileLock | None]:
        there = self._study.get_trials(deepcopy=False)
        if sum(trial.state in COUNTED for trial in there) >= trials:
            return None, None
        self._draw_as(next((trial.number for trial in there if trial.state == TrialState.WAITING), len(there)))
        trial = self._study.ask()
        self._draw(trial)
        lock = self._lock(trial.number)
        lock.acquire(timeout=0)
        return Trial(trial, self._values(_frozen(self._study, trial.number)), is_resumed=False), lock

    def _draw_as(self, number: int) -> None:
        """Seed the sampler by the trial, so that a search that was killed draws what the whole one would have."""
        seed = int.from_bytes(hashlib.sha256(f"{self._seed} {number}".encode()).digest()[:4])
        self._study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS)

    def _draw(self, trial: optuna.Trial) -> None:
        for key, each in self._ranges.items():
            if isinstance(each, Choices):
                trial.suggest_categorical(key, each.choices)
            elif each.whole:
                trial.suggest_int(key, int(each.low), int(each.high), step=int(each.step or 1), log=each.log)
            else:
                trial.suggest_float(key, each.low, each.high, step=each.step, log=each.log)

    def _values(self, trial: FrozenTrial) -> dict[str, Value]:
        """Return the values of a trial, drawn ones in as many digits as are told; the run's own are as it has them."""
        own = trial.system_attrs.get("fixed_params", {})
        return {key: own[key] if key in own else self._ranges[key].drawn(value) for key, value in trial.params.items()}

    def _row(self, trial: FrozenTrial) -> TrialRow:
        best_so_far = max(trial.intermediate_values.values(), default=None)
        return TrialRow(
            trial.number,
            trial.user_attrs.get(NOTE) or trial.state.name.lower(),
            trial.value if trial.state == TrialState.COMPLETE else best_so_far,
            trial.last_step or 0,
            trial.user_attrs.get(SECONDS),
            self._values(trial),
        )

    def _lock(self, number: int) -> FileLock:
        self.place(number).mkdir(exist_ok=True)
        return FileLock(self.place(number) / "lock")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with held(self.folder / "lock", "Another draw of a trial"), warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield


def _frozen(study: optuna.Study, number: int) -> FrozenTrial:
    return next(each for each in study.get_trials(deepcopy=False) if each.number == number)
