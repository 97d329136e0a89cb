"""One row a run for the table of all, from what the stages left of each."""

from dataclasses import replace
from typing import Any

import numpy as np

from pipeline import metrics, params, runs, sections
from pipeline.clips.corpus import Corpus
from pipeline.errors import PipelineError
from pipeline.examples.task import Task
from pipeline.files import read_json
from pipeline.jobs import timing
from pipeline.layout import Layout
from pipeline.reporting import comparison
from pipeline.reporting.comparison import Estimate, RunSummary
from pipeline.reporting.page import evidence
from pipeline.reporting.page.evidence import JudgedRun
from pipeline.scoring import paired, scored_files
from pipeline.scoring.judged import FILE as JUDGED
from pipeline.scoring.paired import Gain
from pipeline.scoring.settings import ENSEMBLE
from pipeline.scoring.shares import expected, shares_of


def rows_of(layout: Layout, tree: dict[str, Any]) -> tuple[list[RunSummary], list[str]]:
    """Return the rows of all runs, teachers first, then students and the ensemble, and who is not decided yet."""
    scores = scores_of(layout)
    rows, lacking = [], []
    for run in [*runs.names(tree), ENSEMBLE]:
        path = layout.submission(run) / "metrics.json"
        if path.exists():
            rows.append(row_of(layout, tree, run, read_json(path), scores.get(run, {})))
        else:
            lacking.append(run)
    return rows, lacking


def scores_of(layout: Layout) -> dict[str, dict[str, Any]]:
    """Return what stage score found of each run, but of those whose submission was made anew since."""
    scores: dict[str, dict[str, Any]] = read_json(layout.scores) if layout.scores.exists() else {}
    return {run: score for run, score in scores.items() if score.get("sha256") in (None, submitted(layout, run))}


def submitted(layout: Layout, run: str) -> str:
    """Return the SHA-256 of a run's submission, "" where there is none."""
    path = layout.submission(run) / "submission.csv"
    return scored_files.checksum(path) if path.exists() else ""


def with_gains(rows: list[RunSummary], layout: Layout, tree: dict[str, Any], against: str) -> list[RunSummary]:
    """Return the rows with `gain`: by how much each run's estimate is above that of the run `against`.

    Judged are the clips that both decided, under the prior of `against`. Runs of another question have no gain. Raises
    PipelineError if `against` is no decided run.
    """
    if against not in {row.run for row in rows if _decides(row)}:
        names = ", ".join(row.run for row in rows if _decides(row)) or "none"
        raise PipelineError(f"There is no decided run '{against}' to compare with. There are: {names}.")
    corpus = Corpus.open(layout.prepare)
    labels, asked = corpus.vocabulary.submission_labels, sections.decide(tree).for_run(against).prior
    shares = shares_of(expected(asked, layout.submission(against)), labels)

    def read(run: str) -> JudgedRun:
        return evidence.read(layout.submission(run) / JUDGED, corpus, Task(), run)

    def over(run: str) -> Gain | None:
        ours = read(run)
        both = [place for place, clip in enumerate(ours.clips) if clip in decided]
        if not both:
            return None
        assert ours.decided is not None
        second = np.array([decided[ours.clips[place]] for place in both], np.int64)
        speakers = [ours.speakers[place] for place in both]
        return paired.gain(ours.truth[both].astype(np.int64), ours.decided[both], second, speakers, len(labels), shares)

    theirs = read(against)
    assert theirs.decided is not None
    decided = dict(zip(theirs.clips, theirs.decided.tolist(), strict=True))
    return [replace(row, gain=over(row.run)) if _decides(row) and row.run != against else row for row in rows]


def _decides(row: RunSummary) -> bool:
    return row.question == "word"


def row_of(
    layout: Layout, tree: dict[str, Any], run: str, figures: dict[str, Any], score: dict[str, Any]
) -> RunSummary:
    """Return what is known of one run: `figures` are its metrics.json, `score` its entry in scores.json."""
    own = runs.entry(tree, run) if run != ENSEMBLE else {}
    folds = params.folds(tree)
    estimate = figures["estimate"]
    judge = "map" if "map" in estimate else "prior_accuracy"
    trained = [timing.of_training(layout, tree, run, fold) for fold in folds] if run != ENSEMBLE else []
    timed = [each["seconds"] for each in trained if each]
    predicting = timing.of_prediction(layout, run)
    presence = figures["presence"]
    question = f"{presence['name']} or not" if presence else figures["target"]
    return RunSummary(
        run=run,
        model=str(own.get("model", "vote")),
        round=("", "student", "second student")[runs.round_of(tree, run) - 1],
        question=question,
        learns=own.get("vocabulary", "commands") if question == "word" else question,
        parameters=comparison.parameters_in(runs.paths(layout, tree, run).model(folds[0])),
        train_seconds=sum(timed) if len(timed) == len(folds) else None,  # a fold from DVC's cache may have no time
        clips_a_second=predicting["clips"] / predicting["seconds"] if predicting and predicting["seconds"] else None,
        judge=judge,
        estimate=_judged(estimate),
        selected=figures["selected"][judge],
        test=_scored(score) or (_judged(figures["holdout"]) if figures["holdout"] else None),
        macro_f1=estimate.get("macro_f1"),
        unknown_recall=estimate.get("unknown_recall"),
        silence_recall=estimate.get("silence_recall"),
        reported=str(own.get("reported", "")),
        unheard_recall=_unheard(estimate),
    )


def _judged(figures: dict[str, Any]) -> Estimate:
    if "map" in figures:  # mean average precision has no interval of its own
        return Estimate(figures["map"], None, None, figures["clips"])
    low, high = figures["prior_accuracy_low"], figures["prior_accuracy_high"]
    return Estimate(figures["prior_accuracy"], low, high, figures["clips"])


def _unheard(figures: dict[str, Any]) -> Estimate | None:
    if figures.get("unheard_recall") is None:
        return None
    low, high = figures["unheard_recall_low"], figures["unheard_recall_high"]
    return Estimate(figures["unheard_recall"], low, high, figures["unheard_clips"])


def _scored(score: dict[str, Any]) -> Estimate | None:
    """Return the accuracy on the test clips whose answers are known."""
    parts = [(score[part], score[f"n_{part}"]) for part in ("private", "public") if score.get(part) is not None]
    clips = sum(count for _, count in parts)
    if not clips:
        return None
    accuracy = sum(share * count for share, count in parts) / clips
    return Estimate(accuracy, *metrics.wilson(accuracy, clips), clips)
