"""submissions: bring the ledger up to date with Kaggle's list and show it as a table."""

import re
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline import params
from pipeline.delivery import ledger
from pipeline.delivery.competition import Competition
from pipeline.delivery.journal import Journal
from pipeline.delivery.kaggle_client import KaggleError
from pipeline.delivery.standing import rank
from pipeline.errors import PipelineError
from pipeline.files import read_json, sha256_of
from pipeline.layout import Layout
from pipeline.stages import submit

_VALIDATION = re.compile(r"\| validation (\d\.\d{3}) \|")


def main(layout: Layout) -> None:
    """Print all submissions, newest last. Without a network the ledger as it is, which is said.

    Raises PipelineError, after the table, where Kaggle refuses.
    """
    tree = params.read(layout.params)
    board: list[float] = []
    failure: PipelineError | None = None
    try:
        competition = Competition(submit.competition_of(tree), submit.settings_of(tree).patience)
        sync(layout, tree, competition)
        board = competition.leaderboard()
    except PipelineError as error:
        failure = error
    show(layout, board)
    if isinstance(failure, KaggleError) and failure.passing:
        _say(f"This is the ledger as it is here, since Kaggle did not tell more:\n{failure}")
    elif failure is not None:
        raise failure


def sync(layout: Layout, tree: dict[str, Any], competition: Competition) -> None:
    """Add to the ledger what Kaggle lists, complete what was pending, and tell what was interrupted."""
    journal = Journal(layout.journal)
    with journal.alone():
        submit.desk_of(layout, tree, competition).sync(competition.submissions())
        for job in journal.jobs():
            if not job.ref:
                _say(f"The submit of '{job.run}' of {job.time} was interrupted; `submit {job.run}` finishes it.")


def show(layout: Layout, board: list[float]) -> None:
    """Print the submissions of the ledger; `board` is the leaderboard, best first."""
    rows = ledger.read(layout.ledger)
    sent = sorted((row for row in rows if row.scoreboard == ledger.KAGGLE), key=lambda row: row.time)
    if not sent:
        _say("No submissions yet. To make one: python -m pipeline submit <run>")
        return
    local = {row.sha256: row.private or row.public for row in rows if row.scoreboard != ledger.KAGGLE}
    table = Table("time (UTC)", "run", "validation", "local", "public", "private", "difference", "rank", "status")
    for row in sent:
        gap = f"{float(row.public) - float(row.private):+.5f}" if row.public and row.private else "-"
        best = row.private or row.public
        place = rank(float(best), board) if best else None
        table.add_row(
            row.time[:16].replace("T", " "),
            row.run,
            _validation(layout, row) or "-",
            local.get(row.sha256) or "-",
            row.public or "-",
            row.private or "-",
            gap,
            str(place) if place else "-",
            f"{row.status}: {row.reason}" if row.reason else row.status,
        )
    Console().print(table)
    if board:
        _say(f"Rank: the place of the private score (else the public one) among the {len(board)} that Kaggle lists.")


def _validation(layout: Layout, row: ledger.Row) -> str:
    """Return the accuracy on the validation clips: from the description, else of the file if it is still here."""
    if found := _VALIDATION.search(row.message):
        return found[1]
    folder = layout.submission(row.run)
    try:
        if row.sha256 and sha256_of(folder / "submission.csv") == row.sha256:
            return f"{read_json(folder / 'metrics.json')['accuracy']:.3f}"
    except (OSError, KeyError):
        pass
    return ""


def _say(text: str) -> None:
    Console().print(text, soft_wrap=True, markup=False, highlight=False)
