"""ensemble: let all runs vote, teachers and students; the vote is decided as a run is."""

import numpy as np

from pipeline import params, sections
from pipeline.clips.corpus import Corpus
from pipeline.delivery.commit import commit_of
from pipeline.jobs import priors
from pipeline.jobs.voting import Election
from pipeline.layout import Layout
from pipeline.reporting import competition_report, target_report
from pipeline.scoring import submission
from pipeline.scoring.settings import ENSEMBLE
from pipeline.scoring.shares import ESTIMATED


def main(layout: Layout) -> None:
    """Write submissions/ensemble/: submission.csv, metrics.json, confusion.csv, confusion.png.

    The runs that answer the competition's question vote; where there is none, those that answer the first run's.
    """
    tree = params.read(layout.params)
    corpus = Corpus.open(layout.prepare)
    election = Election.read(layout, tree, corpus, "ensemble")
    vote = election.fit()
    if report := vote.report():
        print(report)
    task, folder = election.task, layout.submission(ENSEMBLE)
    about = {
        **task.model_dump(include={"target", "presence"}),
        "weights": vote.combination.told()["weights"],
        "vote": vote.told(),
    }
    if note := sections.note_of(tree, ENSEMBLE):
        about["estimate_note"] = note
    holdout = election.vote("holdout", vote.combination) if election.has_holdout else None
    if not task.is_submitted:
        target_report.publish(folder, corpus, election.target, vote.out_of_fold, holdout, about)
        return
    rule = sections.decide(tree).for_run(ENSEMBLE)
    sample = submission.read_sample(layout.prepare / "sample.csv")
    test, rng = election.vote("test", vote.combination), np.random.default_rng(params.seed(tree))
    settled = rule
    if rule.prior == ESTIMATED:
        found = election.estimated(election.truth)
        print(found.report())
        settled, about["prior_estimate"] = priors.with_shares(rule, found), found.told()
    by = commit_of(layout.root), params.digest(sections.makers(tree, ENSEMBLE))
    competition_report.publish(folder, settled, corpus, sample, vote.out_of_fold, test, holdout, rng, about, *by)
