"""What the page tells of a single run: its curves, confusion matrix, calibration, thresholds, parameters, cost."""

from typing import Any

import numpy as np
import pandas

from pipeline import metrics, params, runs, sections
from pipeline.clips.corpus import Corpus
from pipeline.errors import PipelineError
from pipeline.examples.task import Task
from pipeline.files import read_json
from pipeline.jobs import timing
from pipeline.layout import Layout
from pipeline.reporting import target_report
from pipeline.reporting.comparison import RunSummary
from pipeline.reporting.page import calibration, cells, curves, threshold_curves
from pipeline.reporting.page.clipbook import ClipBook
from pipeline.reporting.page.evidence import JudgedRun
from pipeline.scoring import scoreboard, submission
from pipeline.scoring.settings import ENSEMBLE
from pipeline.scoring.shares import shares_of

CONFUSIONS = 10  # that are listed
_TOLD_ELSEWHERE = ("like", "reported")


def detail(
    layout: Layout,
    tree: dict[str, Any],
    corpus: Corpus,
    row: RunSummary,
    evidence: JudgedRun | None,
    book: ClipBook,
    answers: pandas.DataFrame | None,
) -> dict[str, Any]:
    """Return what opens below a run's row; parts that its task or its files do not have are absent.

    `answers` are those of the test set, None where they are not known.
    """
    told: dict[str, Any] = {"run": row.run, "question": row.question, "judge": row.judge}
    figures = read_json(layout.submission(row.run) / "metrics.json")
    told["note"] = figures.get("estimate_note", "")
    if row.run != ENSEMBLE:
        paths = runs.paths(layout, tree, row.run)
        told["curves"] = curves.read({fold: paths.live(fold) for fold in params.folds(tree)})
        told["parameters"] = parameters(layout, tree, row.run)
        told["folds"] = _folds(layout, tree, row.run)
    else:
        told["weights"] = figures.get("weights", {})
    if "parts" in figures:
        told["parts"] = figures["parts"]
    if evidence is None:
        return told
    points = calibration.reliability(*calibration.outcomes(evidence))
    told |= {"reliability": points, "calibration_error": calibration.expected_error(points)}
    told["labels"] = evidence.labels
    if evidence.decided is None:
        told["precisions"] = target_report.read_precisions(layout.submission(row.run) / "confusion.csv")
        return told
    counts = evidence.counts
    told["recalls"] = [
        {"label": label, "value": None if np.isnan(value) else float(value), "clips": int(clips)}
        for label, value, clips in zip(evidence.labels, metrics.recalls(counts), counts.sum(axis=1), strict=True)
    ]
    if len(evidence.labels) <= cells.LARGEST:
        told |= {"counts": counts.tolist(), "cells": cells.cells(evidence, book)}
        if answers is not None and task_of(tree, row.run).is_submitted:
            told["test_counts"] = _on_test(layout, corpus, row.run, answers)
    told["confusions"] = confusions(evidence)
    if "rule" in figures:
        told |= {"rule": figures["rule"], "thresholds": _thresholds(tree, corpus, evidence, figures)}
    return told


def confusions(evidence: JudgedRun) -> list[dict[str, Any]]:
    """Return the largest confusions: indices of both labels, clips, and their share of the true label's clips."""
    counts = evidence.counts
    of_label = counts.sum(axis=1)
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    found = []
    for cell in np.argsort(-wrong, axis=None, kind="stable")[:CONFUSIONS].tolist():
        truth, decided = divmod(cell, len(counts))
        if wrong[truth, decided]:
            found.append(
                {"truth": truth, "decided": decided, "clips": int(wrong[truth, decided]), "of": int(of_label[truth])}
            )
    return found


def parameters(layout: Layout, tree: dict[str, Any], run: str) -> list[list[Any]]:
    """Return the run's entry as [key, value, whether it differs from the demo's run of that model], the shared section
    filled in. Without profiles/demo.yaml (in a kernel), or without such a run there, nothing differs.
    """
    mine = flat({key: value for key, value in runs.entry(tree, run).items() if key not in _TOLD_ELSEWHERE})
    path = layout.root / "profiles" / "demo.yaml"
    demo: dict[str, str] | None = None
    if path.exists():
        try:
            other = params.read(path)
            names = [run, *runs.names(other)]
            there = [name for name in names if name in runs.names(other)]
            like = next(name for name in there if runs.entry(other, name).get("model") == mine.get("model"))
            demo = flat(runs.entry(other, like))
        except (PipelineError, StopIteration):
            demo = None
    return [[key, value, demo is not None and demo.get(key) != value] for key, value in sorted(mine.items())]


def flat(value: Any, at: str = "") -> dict[str, str]:
    """Return the leaves of nested mappings by their dotted path, as text; a list of plain values is one leaf.

    Mappings in a list are told by their own keys, or by their numbers too where a key comes twice.
    """
    if isinstance(value, dict) and value:
        return {
            key: leaf for name, inside in value.items() for key, leaf in flat(inside, f"{at}.{name}".strip(".")).items()
        }
    if isinstance(value, list) and any(isinstance(each, dict) for each in value):
        parts = [flat(each, at) for each in value]
        if sum(map(len, parts)) > len(set().union(*parts)):
            parts = [flat(each, f"{at}.{number}") for number, each in enumerate(value, start=1)]
        return {key: leaf for part in parts for key, leaf in part.items()}
    return {at: ", ".join(map(str, value)) if isinstance(value, list) else str(value)}


def _folds(layout: Layout, tree: dict[str, Any], run: str) -> list[dict[str, Any]]:
    times = {fold: timing.of_training(layout, tree, run, fold) for fold in params.folds(tree)}
    return [{"fold": fold, **time} for fold, time in times.items() if time]


def _thresholds(tree: dict[str, Any], corpus: Corpus, evidence: JudgedRun, figures: dict[str, Any]) -> dict[str, Any]:
    shares = shares_of(figures["prior"], evidence.labels)  # what was estimated, where that was asked for
    chosen = figures["thresholds"] if figures["rule"] == "tuned" else {}
    rng = np.random.default_rng(params.seed(tree))
    return threshold_curves.curves(evidence, corpus.vocabulary.commands, shares, chosen, rng)


def _on_test(layout: Layout, corpus: Corpus, run: str, answers: pandas.DataFrame) -> list[list[int]]:
    """Return the confusion matrix of the run's submission."""
    labels = corpus.vocabulary.submission_labels
    sample = submission.read_sample(layout.prepare / "sample.csv")
    predicted = submission.check(layout.submission(run) / "submission.csv", sample, labels)
    counts: list[list[int]] = scoreboard.confusions(predicted, answers, labels).tolist()
    return counts


def task_of(tree: dict[str, Any], run: str) -> Task:
    """Return what a run answers, or what its voters do."""
    return sections.voters(tree, "ensemble")[2] if run == ENSEMBLE else runs.task_of(tree, run)
