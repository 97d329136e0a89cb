"""The vote of several runs, from the tables that `predict` left of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import params, runs, sections
from pipeline.clips.corpus import Corpus
from pipeline.examples.target import Target, target_of
from pipeline.examples.task import Task
from pipeline.layout import Layout
from pipeline.scoring import decision, ensemble
from pipeline.scoring.ensemble import Ensemble, Vote
from pipeline.scoring.nested import OutOfFold
from pipeline.scoring.probabilities import Probabilities
from pipeline.scoring.truth import truth_of


@dataclass(frozen=True)
class Election:
    """Who votes on what: `folders` are the members' tables; `commands` None where it is not the competition's task."""

    settings: Ensemble
    task: Task
    target: Target
    folders: Mapping[str, Path]
    members: Mapping[str, OutOfFold]
    truth: NDArray[Any]  # of the clips of the first member's table
    commands: tuple[str, ...] | None
    shares: NDArray[np.float64] | None

    @classmethod
    def read(cls, layout: Layout, tree: dict[str, Any], corpus: Corpus, section: str) -> "Election":
        """Read what the section `vote` or `ensemble` asks for. Raises PipelineError where tables are missing."""
        settings, names, task = sections.voters(tree, section)
        students = runs.students(tree)
        # Folders of runs that are no longer listed may lie on the disk; only the list counts.
        folders = {name: layout.run(name, name in students).probabilities for name in names}
        members = {name: OutOfFold.read(folder, corpus) for name, folder in folders.items()}
        target = target_of(corpus, task.model_copy(update={"vocabulary": "commands"}))
        truth = truth_of(corpus, "out_of_fold", next(iter(members.values())).table, target)
        commands = corpus.vocabulary.commands if task.is_submitted else None
        prior = sections.decide(tree).for_run(ensemble.NAME).prior
        shares = decision.shares_of(prior, corpus.vocabulary.submission_labels) if task.is_submitted else None
        return cls(settings, task, target, folders, members, truth, commands, shares)

    def fit(self) -> Vote:
        """Return the vote, its weights fitted on all out-of-fold clips."""
        return ensemble.fit_vote(self.settings, self.members, self.truth, self.commands, self.shares)

    def weights_by(self, clips: NDArray[np.bool_]) -> dict[str, float]:
        """Return the members' weights, fitted on the out-of-fold clips that `clips` marks alone."""
        counted = clips if self.target.exclusive else clips[:, None]
        truth = np.where(counted, self.truth, -1 if self.target.exclusive else np.nan)
        tables = {name: member.table for name, member in self.members.items()}
        return ensemble.weigh(self.settings, tables, truth, self.commands, self.shares)[0]

    def tables(self, split: str, fold: int | None = None) -> dict[str, Probabilities]:
        """Return the members' tables of a split: means over folds, or what the nets of one fold say."""
        paths = {name: folder / split / f"{fold}.parquet" for name, folder in self.folders.items()}
        paths = {
            name: path if fold is not None and path.exists() else self.folders[name] / f"{split}.parquet"
            for name, path in paths.items()
        }
        return {name: Probabilities.read(path) for name, path in paths.items()}

    def vote(self, split: str, weights: Mapping[str, float]) -> Probabilities:
        """Return the weighted vote on a split."""
        return ensemble.vote(self.tables(split), weights, self.commands)

    @property
    def has_holdout(self) -> bool:
        return all((folder / "holdout.parquet").exists() for folder in self.folders.values())


def folds_of(corpus: Corpus, clips: list[str], names: NDArray[Any]) -> NDArray[np.int64]:
    """Return the fold that each clip of a table judges; `names` are those of the corpus's rows in the tables."""
    fold_of = dict(zip(names.tolist(), corpus.rows["fold"].tolist(), strict=True))
    return np.array([fold_of[clip] for clip in clips], np.int64)


def seed_of(tree: dict[str, Any]) -> np.random.Generator:
    """Return the generator that a decision draws from."""
    return np.random.default_rng(params.seed(tree))
