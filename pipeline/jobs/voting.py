"""The vote of several runs, from the tables that `predict` left of each."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import runs, sections
from pipeline.clips.corpus import Corpus
from pipeline.examples.target import Target, target_of
from pipeline.examples.task import Task
from pipeline.layout import Layout
from pipeline.scoring import ensemble, prior
from pipeline.scoring.combination import Combination
from pipeline.scoring.ensemble import Vote
from pipeline.scoring.nested import OutOfFold
from pipeline.scoring.prior import EstimatedPrior
from pipeline.scoring.probabilities import Probabilities
from pipeline.scoring.settings import ENSEMBLE, Ensemble, Prior
from pipeline.scoring.shares import ESTIMATED, shares_of
from pipeline.scoring.truth import judged_rows, truth_of, without_unreadable
from pipeline.scoring.voting_methods import VotingData, equal


@dataclass(frozen=True)
class Election:
    """Who votes on what: `folders` are the members' tables; `commands` None where it is not the competition's task."""

    settings: Ensemble
    corpus: Corpus
    task: Task
    target: Target
    folders: Mapping[str, Path]
    members: Mapping[str, OutOfFold]
    truth: NDArray[Any]  # of the clips of the first member's table
    commands: tuple[str, ...] | None
    asked_prior: Prior
    labels: list[str]  # of the submission

    @classmethod
    def read(cls, layout: Layout, tree: dict[str, Any], corpus: Corpus, section: str) -> "Election":
        """Read what the section `vote`, `second_vote` or `ensemble` asks for.

        Raises PipelineError where tables are missing.
        """
        settings, names, task = sections.voters(tree, section)
        # Folders of runs that are no longer listed may lie on the disk; only the list counts.
        folders = {name: runs.paths(layout, tree, name).probabilities for name in names}
        members = {name: OutOfFold.read(folder, corpus) for name, folder in folders.items()}
        target = target_of(corpus, task.model_copy(update={"vocabulary": "commands"}))
        truth = truth_of(corpus, "out_of_fold", next(iter(members.values())).table, target)
        commands = corpus.vocabulary.commands if task.is_submitted else None
        asked = sections.decide(tree).for_run(ENSEMBLE).prior
        labels = corpus.vocabulary.submission_labels
        return cls(settings, corpus, task, target, folders, members, truth, commands, asked, labels)

    def fit(self) -> Vote:
        """Return the vote, fitted on all out-of-fold clips."""
        return ensemble.fit_vote(self.settings, self.members, self.truth, self.commands, self.shares(self.truth))

    def combination_without(self, clips: NDArray[np.bool_]) -> Combination:
        """Return how the members vote if the out-of-fold clips that `clips` marks have no say."""
        first = next(iter(self.members.values()))
        tables = {name: member.table for name, member in self.members.items()}
        finest = self.settings.temperature
        data = VotingData.of(tables, self.truth, first.speakers, self.commands, None, finest).without(clips)
        return ensemble.choose(self.settings, replace(data, shares=self.shares(data.truth)), first.blocks)

    def shares(self, truth: NDArray[Any]) -> NDArray[np.float64] | None:
        """Return the prior over the submission's labels; of another question's, all alike, as its runs are judged.

        None where clips may have several labels.

        Where it is to be estimated, the clips whose `truth` is known here are what calibrates the estimate.
        """
        if self.commands is None:
            count = len(self.target.labels)
            return np.full(count, 1 / count) if self.target.exclusive else None
        if self.asked_prior != ESTIMATED:
            return shares_of(self.asked_prior, self.labels)
        return self.estimated(truth, resamples=0).shares

    def estimated(self, truth: NDArray[Any], resamples: int = prior.RESAMPLES) -> EstimatedPrior:
        """Return the test set's shares of labels as the mean of the members tells them."""
        mean = Combination("equal", equal(self.members))
        judged = mean.vote({name: member.nested_table() for name, member in self.members.items()}, self.commands)
        speakers = next(iter(self.members.values())).speakers
        first = next(iter(self.folders.values()))
        folds: list[int | None] = [int(path.stem) for path in sorted((first / "test").glob("*.parquet"))]
        votes = [mean.vote(self.tables("test", fold), self.commands) for fold in folds or [None]]
        test = [without_unreadable(self.corpus, vote) for vote in votes]
        return prior.estimate(judged, truth, speakers, test, resamples)

    def tables(self, split: str, fold: int | None = None) -> dict[str, Probabilities]:
        """Return the members' tables of a split: means over folds, or what the nets of one fold say.

        Where a single fold is trained, its table is the mean. Raises PipelineError for a table that is missing.
        """

        def path(folder: Path) -> Path:
            apart = fold is not None and (folder / split).is_dir()
            return folder / split / f"{fold}.parquet" if apart else folder / f"{split}.parquet"

        return {name: Probabilities.read(path(folder)) for name, folder in self.folders.items()}

    def vote(self, split: str, combination: Combination) -> Probabilities:
        """Return the vote on a split."""
        return combination.vote(self.tables(split), self.commands)

    def finest(self, split: str, combination: Combination, fold: int | None = None) -> Probabilities:
        """Return the vote over the finest labels of any member: words, where a member has them."""
        tables = self.tables(split, fold)
        return (
            combination.vote(tables, None) if self.commands is None else combination.vote_words(tables, self.commands)
        )

    @property
    def has_holdout(self) -> bool:
        return all((folder / "holdout.parquet").exists() for folder in self.folders.values())


def folds_of(corpus: Corpus, clips: list[str]) -> NDArray[np.int64]:
    """Return the fold that each clip of an out-of-fold table judges."""
    rows = judged_rows(corpus, "out_of_fold")
    return corpus.rows["fold"].to_numpy(np.int64)[[rows[clip] for clip in clips]]
