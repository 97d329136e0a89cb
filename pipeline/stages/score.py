"""Score every submission against the answers, where they are known, and keep it under its score."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline import params, runs, sources
from pipeline.clips.corpus import Corpus
from pipeline.delivery import ledger
from pipeline.errors import PipelineError
from pipeline.examples.task import Task
from pipeline.files import read_json, sha256_of, write_json
from pipeline.layout import Layout
from pipeline.reporting import competition_report, confusion
from pipeline.scoring import provenance, scoreboard, scored_files, submission
from pipeline.scoring.settings import ENSEMBLE


def main(layout: Layout) -> None:
    """Write scores.json; with known answers also submissions/<score>_<run>.csv and .png, and rows of the ledger."""
    tree = params.read(layout.params)
    corpus = Corpus.open(layout.prepare)
    labels = corpus.vocabulary.submission_labels
    sample = submission.read_sample(layout.prepare / "sample.csv")
    answers = scoreboard.read_answers(layout.prepare / "answers.csv", labels)
    synthetic = bool(competition_report.caption_of(corpus))
    scores: dict[str, dict[str, Any]] = {}
    for run in [*runs.names(tree), ENSEMBLE]:
        path = layout.submission(run) / "submission.csv"
        figures = _figures(layout.submission(run) / "metrics.json", "ensemble" if run == ENSEMBLE else f"decide {run}")
        judged = figures["estimate"], figures["holdout"]
        estimate, holdout = (part and part.get("prior_accuracy", part.get("map")) for part in judged)
        scores[run] = {"public": None, "private": None, "estimate": estimate, "n_public": 0, "n_private": 0}
        scores[run]["holdout"] = holdout
        if (recall := figures["estimate"].get("unheard_recall")) is not None:
            scores[run]["unheard_recall"] = recall
        if not Task(target=figures["target"], presence=figures["presence"]).is_submitted:
            continue
        predicted = submission.check(path, sample, labels)
        if answers is None:
            continue
        result = scoreboard.score(predicted, answers)
        sha256 = sha256_of(path)
        scores[run] |= {**vars(result), "sha256": sha256}  # of which file they are
        public, private = (scoreboard.five(value) for value in (result.public, result.private))
        made = provenance.find(sha256, layout.submissions, run)
        row = ledger.Row(
            datetime.now(UTC).isoformat(timespec="seconds"),
            run,
            "local (synthetic)" if synthetic else "local",
            public,
            private,
            sha256,
            made.commit if made else provenance.NOT_OURS,
            made.params if made else "",
        )
        kept = scored_files.keep(layout.submissions, run, private or public, sha256, path)
        counts = scoreboard.confusions(predicted, answers, labels)
        title = f"{run}  ·  private {private or 'unknown'}, public {public or 'unknown'}"
        assert kept is not None  # the file is there
        confusion.draw(kept.with_suffix(".png"), counts, labels, title, competition_report.caption_of(corpus))
        ledger.append(layout.ledger, row)
    write_json(layout.scores, scores)
    Console().print(scoreboard.table(scores))
    if synthetic:
        print("Synthetic speech: these scores say nothing of the leaderboard.")
    if answers is None and sample:
        print("The answers of this test set are not known here, so nothing was scored.")
        if sources.is_kaggle(corpus.description["source"]):
            print("To learn a score, submit a run:\n  python -m pipeline submit <run> --wait")


def _figures(path: Path, verb: str) -> dict[str, Any]:
    try:
        return dict(read_json(path))
    except FileNotFoundError:
        raise PipelineError(f"There is no {path}. Run `dvc repro`, or: python -m pipeline {verb}") from None
