"""ensemble: let all runs vote, teachers and students; the vote is decided as a run is."""

from pipeline import params
from pipeline.clips.corpus import Corpus
from pipeline.jobs.deciding import Predictions, publish
from pipeline.jobs.voting import Election
from pipeline.layout import Layout
from pipeline.scoring.settings import ENSEMBLE


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
    predictions = Predictions(
        vote.out_of_fold,
        election.vote("holdout", vote.combination) if election.has_holdout else None,
        test=lambda: election.vote("test", vote.combination),
        estimated_prior=lambda: election.estimated(election.truth),
    )
    about = {"weights": vote.combination.to_dict()["weights"], "vote": vote.to_dict()}
    publish(layout, tree, corpus, ENSEMBLE, election.task, election.target, predictions, about)
