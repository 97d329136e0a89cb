"""submissions: bring the ledger up to date with Kaggle's list and show it as a table."""

import sys

from pipeline import params
from pipeline.delivery import ledger, overview
from pipeline.delivery.competition import Competition
from pipeline.delivery.journal import Journal
from pipeline.delivery.kaggle_errors import KaggleError
from pipeline.delivery.scores import Scores
from pipeline.delivery.settings import Submit
from pipeline.delivery.submitting import interrupted
from pipeline.delivery.terminal import note, say
from pipeline.errors import PipelineError
from pipeline.layout import Layout
from pipeline.scoring import candidates


def main(
    layout: Layout, how: overview.Format | None = None, sort: overview.Sort = "time", limit: int | None = None
) -> None:
    """Print all submissions, newest last; `how` is by default a table on a terminal, else columns separated by tabs.

    Without a network the ledger as it is, which is said. Raises PipelineError, after the table, where Kaggle refuses.
    """
    tree = params.read(layout.params) if layout.params.exists() else {}
    settings = params.section(tree, "submit", Submit)
    journal = Journal(layout.journal)
    board: list[float] = []
    failure: PipelineError | None = None
    try:
        competition = Competition(settings.slug(tree.get("download")), settings.patience)
        keep = candidates.keeper(layout.submissions, note)
        with journal.alone():
            Scores(competition, journal, layout.ledger, settings, keep, note).sync(competition.submissions())
            for job in (job for job in journal.jobs() if not job.ref):
                note(interrupted(job))
        board = competition.leaderboard()
    except PipelineError as error:
        failure = error
    made = overview.lines(ledger.read(layout.ledger), board, candidates.finder(layout.submissions))
    how = how or ("table" if sys.stdout.isatty() else "text")
    if made or how != "table":
        say(overview.rendered(overview.chosen(made, sort, limit), how).rstrip("\n"))
    if board and made:
        note(f"Rank: the place of the private score (else the public one) among the {len(board)} that Kaggle lists.")
    if not made and failure is None:
        note("No submissions yet. To make one: python -m pipeline submit <run>")
    elif not made:
        note("The ledger here holds no submissions; whether Kaggle has any is not known.")
    if isinstance(failure, KaggleError) and failure.passing:
        note(f"This is the ledger as it is here, since Kaggle did not tell more:\n{failure}")
    elif failure is not None:
        raise failure
