"""What the probabilities of a run come to that answers another question than the competition's: figures, no submission.

One label of several (the speaker, the accent), a yes or no (is there speech?), or several labels at once (tags).
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline import metrics
from pipeline.clips.corpus import Corpus
from pipeline.clips.labels import ABSENT
from pipeline.errors import PipelineError
from pipeline.examples.target import Target
from pipeline.files import replacing, write_json
from pipeline.reporting import confusion
from pipeline.reporting.competition_report import caption_of
from pipeline.scoring import submission
from pipeline.scoring.probabilities import Probabilities

PARTS = "parts"  # of a vote (layers of an encoder): a folder each of tables like the run's own
BARS = 40  # labels that the picture of average precisions has room for


def publish(
    folder: Path,
    corpus: Corpus,
    target: Target,
    validation: Probabilities,
    testing: Probabilities | None,
    about: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write metrics.json, confusion.csv, confusion.png to `folder`, and a submission.csv that is its first line alone.

    Of several labels at once, the table and the picture hold the average precision of each label. Returns the metrics;
    `about` is added to them. Raises PipelineError if the tables are of another corpus or other labels.
    """
    truth = truth_of(corpus, "validation", target, validation)
    figures = {"run": validation.run, **describe(truth, validation), "testing": None, **(about or {})}
    if testing is not None and testing.clips:
        figures["testing"] = describe(truth_of(corpus, "testing", target, testing), testing)
    folder.mkdir(parents=True, exist_ok=True)
    if target.multi_label:
        known = ~np.isnan(truth).any(axis=1)
        precisions = metrics.average_precisions(truth[known] > 0.5, validation.values[known])
        write_precisions(folder / "confusion.csv", target.labels, precisions, truth[known].sum(axis=0))
        title = f"{validation.run}  ·  validation mean average precision {figures['map']:.3f}"
        draw_precisions(folder / "confusion.png", target.labels, precisions, title, caption_of(corpus))
    else:
        counts = _counts(truth, validation)
        confusion.write_table(folder / "confusion.csv", counts, target.labels)
        title = f"{validation.run}  ·  validation accuracy {figures['accuracy']:.3f}"
        confusion.draw(folder / "confusion.png", counts, target.labels, title, caption_of(corpus))
    submission.write(folder / "submission.csv", {}, [], corpus.vocabulary.submission_labels)
    write_json(folder / "metrics.json", figures)
    return figures


def truth_of(
    corpus: Corpus, split: Literal["validation", "testing"], target: Target, judged: Probabilities
) -> NDArray[Any]:
    """Return the target's values of the judged clips, in the table's order: int64 [clips] or float32 [clips, labels].

    Clips of which the corpus does not tell the target are not judged: `judged` must hold the others.
    Raises PipelineError if it is of another corpus or other labels, or lacks a clip.
    """
    rows = np.flatnonzero((corpus.rows["split"] == split).to_numpy())
    names = corpus.rows["recording"].fillna(corpus.rows["clip"]).to_numpy()
    place = {names[row]: row for row in rows}  # any piece of a recording: all inherit its labels
    if judged.corpus != corpus.fingerprint or judged.labels != target.labels or set(judged.clips) != set(place):
        raise PipelineError(
            f"The {split} probabilities of run '{judged.run}' are not of the corpus in {corpus.folder} "
            f"({len(judged.clips)} clips judged, {len(place)} there). Run `dvc repro` to predict anew."
        )
    at = np.array([place[clip] for clip in judged.clips], int)
    if not target.known[at].any():
        raise PipelineError(f"The target of run '{judged.run}' is known of no {split} clip. See prepare.splits.")
    values = target.values[at]
    if not target.multi_label:
        return np.where(target.known[at], values, -1)
    return np.where(target.known[at, None], values, np.nan)


def judge_parts(folder: Path, corpus: Corpus, target: Target) -> dict[str, dict[str, float]]:
    """Return the accuracies on validation and testing clips of each part of a run that is a vote, and of the "vote".

    `folder` holds the run's tables. A run that is no vote has no parts. Raises PipelineError as `truth_of` does.
    """
    splits: tuple[Literal["validation", "testing"], ...] = ("validation", "testing")
    figures: dict[str, dict[str, float]] = {}
    parts = sorted(path for path in (folder / PARTS).glob("*") if path.is_dir())
    for part in [*parts, folder] if parts else []:
        tables = {split: part / f"{split}.parquet" for split in splits}
        judged = {split: Probabilities.read(path) for split, path in tables.items() if path.exists()}
        figures["vote" if part == folder else part.name] = {
            split: describe(truth_of(corpus, split, target, table), table)["accuracy"]
            for split, table in judged.items()
        }
    return figures


def describe(truth: NDArray[Any], judged: Probabilities) -> dict[str, Any]:
    """Return the figures of clips whose truth is known; see `truth_of` for its shapes."""
    if truth.ndim == 2:
        known = ~np.isnan(truth).any(axis=1)
        truth = truth[known]
        precisions = metrics.average_precisions(truth > 0.5, judged.values[known])
        return {
            "map": round(float(np.nanmean(precisions)), 5),
            "labels": len(judged.labels),
            "labels_without_clips": int(np.isnan(precisions).sum()),
            "clips": len(truth),
        }
    counts = _counts(truth, judged)
    figures = metrics.describe(counts, judged.labels)
    if judged.labels[0] == ABSENT and len(judged.labels) == 2:
        figures["f1"] = round(metrics.f1(counts)[1], 5)
    return figures


def _counts(truth: NDArray[np.int64], judged: Probabilities) -> np.ndarray:
    return metrics.confusion(truth[truth >= 0], judged.values.argmax(axis=1)[truth >= 0], len(judged.labels))


def write_precisions(path: Path, labels: Sequence[str], precisions: np.ndarray, clips: np.ndarray) -> None:
    """Write the average precision of each label and how many clips have it as CSV, atomically."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["label", "average_precision", "clips"])
        for label, precision, count in zip(labels, precisions, clips, strict=True):
            writer.writerow([label, "" if np.isnan(precision) else f"{precision:.5f}", int(count)])


def draw_precisions(path: Path, labels: Sequence[str], precisions: np.ndarray, title: str, caption: str = "") -> None:
    """Draw the average precision of each label as bars, best first, as PNG, atomically.

    Of more than 40 labels, the best and the worst twenty.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    order = [place for place in np.argsort(-np.nan_to_num(precisions)) if not np.isnan(precisions[place])]
    if len(order) > BARS:
        order = [*order[: BARS // 2], *order[-BARS // 2 :]]
    figure = Figure(figsize=(8, 1.6 + 0.24 * len(order)), dpi=130, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.barh(range(len(order)), precisions[order], color="#2f77ad", height=0.7)
    for place, value in enumerate(precisions[order]):
        axes.text(value + 0.01, place, f"{value:.2f}", va="center", fontsize=8, color="#1b2733")
    axes.set_yticks(range(len(order)), [labels[place] for place in order], fontsize=8.5)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.08)
    axes.set_xlabel("average precision", fontsize=9, color="#7b8794")
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(f"{title}\n{caption}" if caption else title, loc="left", fontsize=11, fontweight="bold")
    with replacing(path) as temporary:
        figure.savefig(temporary, metadata={"Software": None})
