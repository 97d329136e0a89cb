"""Score every submission against the answers, where they are known, and keep it under its score."""

from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline import metrics, params, runs, sections
from pipeline.clips.corpus import Corpus
from pipeline.delivery import ledger
from pipeline.examples.task import Task
from pipeline.files import read_json, sha256_of, write_json
from pipeline.layout import Layout
from pipeline.reporting import competition_report, confusion
from pipeline.scoring import scoreboard, submission
from pipeline.scoring.ensemble import NAME as ENSEMBLE

COMPETITION = "tensorflow-speech-recognition-challenge"
# Sections that come after a submission or outside the graph, and so have no part in what a file says.
AFTER = {"ensemble", "score", "report", "submit", "kernel", "bench"}


def main(layout: Layout) -> None:
    """Write scores.json; with known answers also submissions/<score>_<run>.csv and .png, and rows of the ledger."""
    tree = params.read(layout.params)
    corpus = Corpus.open(layout.prepare)
    labels = corpus.vocabulary.submission_labels
    sample = submission.read_sample(layout.prepare / "sample.csv")
    answers = scoreboard.read_answers(layout.prepare / "answers.csv", labels)
    commit = ledger.commit_of(layout.root)
    synthetic = corpus.description["source"] == "demo"
    scores: dict[str, dict[str, Any]] = {}
    for run in [*runs.names(tree), ENSEMBLE]:
        path = layout.submission(run) / "submission.csv"
        figures = read_json(layout.submission(run) / "metrics.json")
        figure = figures["estimate"], figures["holdout"]
        validation, holdout = (part and part.get("prior_accuracy", part.get("map")) for part in figure)
        scores[run] = {"public": None, "private": None, "validation": validation, "n_public": 0, "n_private": 0}
        scores[run]["holdout"] = holdout
        if not Task(target=figures["target"], presence=figures["presence"]).is_submitted:
            continue
        predicted = submission.check(path, sample, labels)
        if answers is None:
            continue
        result = scoreboard.score(predicted, answers)
        scores[run] |= vars(result)
        public, private = (_five(value) for value in (result.public, result.private))
        row = ledger.Row(
            datetime.now(UTC).isoformat(timespec="seconds"),
            run,
            "local (synthetic)" if synthetic else "local",
            public,
            private,
            sha256_of(path),
            commit,
            params.digest(makers(tree, run)),
        )
        kept = scoreboard.keep(path, layout.submissions, run, private or public)
        given = [predicted[name] for name in answers["fname"].tolist()]
        counts = metrics.count(answers["label"].tolist(), given, labels)
        title = f"{run}  ·  private {private or 'unknown'}, public {public or 'unknown'}"
        confusion.draw(kept.with_suffix(".png"), counts, labels, title, competition_report.caption_of(corpus))
        ledger.append(layout.ledger, row)
    write_json(layout.scores, scores)
    report(scores, answers is not None or not sample, synthetic, layout)


def makers(tree: dict[str, Any], run: str) -> dict[str, Any]:
    """Return the parameters that made a run's submission, for their digest; other runs' have no part in it."""
    members = runs.names(tree)
    made: dict[str, Any] = {key: value for key, value in tree.items() if key not in AFTER | {"runs", "decide"}}
    made["decide"] = sections.decide(tree).for_run(run).model_dump()
    if run == ENSEMBLE:
        made["ensemble"] = tree.get("ensemble")
        members = (made["ensemble"] or {}).get("runs") or members
    else:
        members = [run]
    made["runs"] = {member: tree["runs"][member] for member in members}
    return made


def report(scores: dict[str, dict[str, Any]], known: bool, synthetic: bool, layout: Layout) -> None:
    """Print one line a run, best private score first."""
    # Parts that no run was judged on have no column.
    parts = [part for part in ("private", "public", "holdout", "validation") if any(s[part] for s in scores.values())]
    table = Table("run", *parts)
    for run, score in sorted(scores.items(), key=lambda item: -(item[1]["private"] or item[1]["validation"])):
        table.add_row(run, *(_five(score[part]) or "-" for part in parts))
    console = Console()
    console.print(table)
    if synthetic:
        console.print("Synthetic speech: these scores say nothing of the leaderboard.")
    if not known:
        upload = (
            f"kaggle competitions submit -c {COMPETITION} -f {layout.submission('<run>') / 'submission.csv'} -m <note>"
        )
        console.print(
            "The answers of this test set are not known here, so nothing was scored. To learn a score, submit a run:"
        )
        for command in ("python -m pipeline submit <run> --wait", upload):
            console.print(f"  {command}", soft_wrap=True, markup=False, highlight=False)


def _five(value: float | None) -> str:
    return "" if value is None else f"{value:.5f}"
