"""submit: upload one run's submission to Kaggle, once, and record it."""

import hashlib
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline import params, runs
from pipeline.delivery import access, ledger
from pipeline.delivery.competition import Competition
from pipeline.delivery.journal import Journal
from pipeline.delivery.submitting import Candidate, Desk, Submit
from pipeline.errors import PipelineError
from pipeline.files import read_json
from pipeline.layout import Layout
from pipeline.scoring import inspection, scoreboard
from pipeline.scoring.ensemble import NAME as ENSEMBLE
from pipeline.stages import score, validate
from pipeline.stages.score import COMPETITION

# Sources whose test clips are not those of a competition at Kaggle.
ELSEWHERE = ("demo", "speech_commands", "superb", "audiomnist", "audioset", "fsd50k")


def main(layout: Layout, run: str, message: str = "", wait: bool = False, force: bool = False) -> None:
    """Submit submissions/<run>/submission.csv; with `wait`, until it is scored.

    Raises PipelineError, with nothing submitted, for a file that is invalid, not of this competition, or submitted
    before (unless `force`), without access, and where no submission is left; also if the scoring failed.
    """
    tree = params.read(layout.params)
    path = layout.submission(run) / "submission.csv"
    data = _data(layout, tree, run, path)
    findings, labels, expected = validate.inspect(layout, tree, path, data)
    _refuse_elsewhere(layout, path)
    validate.warn(findings, labels, expected)
    competition = Competition(competition_of(tree), settings_of(tree).patience)
    access.check(competition)
    candidate = Candidate(
        run,
        data,
        hashlib.sha256(data).hexdigest(),
        " | ".join(filter(None, (_validation(layout, run), message))),
        ledger.commit_of(layout.root),
        params.digest(score.makers(tree, run)) if _is_listed(tree, run) else "",
    )
    desk = desk_of(layout, tree, competition)
    job = desk.submit(candidate, force, wait)
    _say(f"Submitted '{run}' to {competition.slug}: ref {job.ref}, \"{job.message}\"")
    if wait:
        report(desk.wait(job), competition)
    else:
        _say("Kaggle scores it now. For the score: python -m pipeline submissions")


def report(row: ledger.Row, competition: Competition) -> None:
    """Print the scores of a submission. Raises PipelineError if its scoring failed."""
    if row.status == "error":
        raise PipelineError(
            f"Kaggle could not score '{row.run}' (ref {row.ref}): {row.reason or 'no reason given'}\n"
            f"It counts as a submission. Is the file one of this competition? See {competition.page}/submissions"
        )
    _say(f"'{row.run}': private {row.private or 'unknown'}, public {row.public or 'unknown'}")


def settings_of(tree: dict[str, Any]) -> Submit:
    """Return the section `submit`."""
    return params.section(tree, "submit", Submit)


def competition_of(tree: dict[str, Any]) -> str:
    """Return the competition's name: submit.competition, else that of the source `kaggle`, else the default."""
    download = tree.get("download")
    fetched = download.get("competition") if isinstance(download, dict) and download.get("source") == "kaggle" else None
    return settings_of(tree).competition or fetched or COMPETITION


def desk_of(layout: Layout, tree: dict[str, Any], competition: Competition) -> Desk:
    """Return what makes and records submissions."""

    def keep(file: Path, run: str, value: str) -> None:
        _say(f"Kept as {scoreboard.keep(file, layout.submissions, run, value)}")

    return Desk(competition, Journal(layout.journal), layout.ledger, settings_of(tree), keep, _say)


def _data(layout: Layout, tree: dict[str, Any], run: str, path: Path) -> bytes:
    if not (path.exists() or _is_listed(tree, run)):
        there = [*runs.names(tree), ENSEMBLE]
        raise PipelineError(f"There is no run '{run}'. Runs: {', '.join(there)}. Names of files are for `validate`.")
    return inspection.read(path)


def _is_listed(tree: dict[str, Any], run: str) -> bool:
    return run in (*runs.names(tree), ENSEMBLE)


def _refuse_elsewhere(layout: Layout, path: Path) -> None:
    description = layout.prepare / "corpus.json"
    source = read_json(description).get("source") if description.exists() else None
    if source in ELSEWHERE:
        raise PipelineError(
            f"{path} labels clips of the source '{source}', which no competition at Kaggle asks for; nothing was\n"
            "uploaded. For the competition's own clips: cp profiles/kaggle.yaml params.yaml && dvc repro"
        )


def _validation(layout: Layout, run: str) -> str:
    """Return the accuracy on the validation clips as the description tells it; "" where there is none."""
    try:
        accuracy = read_json(layout.submission(run) / "metrics.json")["accuracy"]
    except (FileNotFoundError, KeyError):
        return ""
    return f"validation {accuracy:.3f}"


def _say(text: str) -> None:
    Console().print(text, soft_wrap=True, markup=False, highlight=False)
