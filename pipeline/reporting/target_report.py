"""What the probabilities of a run come to that answers another question than the competition's: figures, no submission.

One label of several (the speaker, the accent), a yes or no (is there speech?), or several labels at once (tags).
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import metrics
from pipeline.clips.corpus import Corpus
from pipeline.clips.labels import ABSENT
from pipeline.errors import PipelineError
from pipeline.examples.target import Target
from pipeline.files import replacing, write_json
from pipeline.reporting import confusion
from pipeline.reporting.competition_report import caption_of_estimate
from pipeline.scoring import provenance, submission, truth
from pipeline.scoring.judged import FILE as JUDGED
from pipeline.scoring.judged import judged_by
from pipeline.scoring.nested import OutOfFold
from pipeline.scoring.probabilities import Probabilities
from pipeline.scoring.truth import PARTS

AVERAGE = "average_precision"
BARS = 40  # labels that the picture of average precisions has room for


def publish(
    folder: Path,
    corpus: Corpus,
    target: Target,
    out_of_fold: OutOfFold,
    holdout: Probabilities | None,
    about: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write metrics.json, confusion.csv, confusion.png and judged.parquet to `folder`, and a submission.csv that is its
    first line alone; one that no run has written goes aside.

    Of several labels at once, the table and the picture hold the average precision of each label, of scores that are
    made comparable (`OutOfFold.aligned`). Returns the metrics; `about` is added to them. As in
    `competition_report.publish`, `estimate` judges each out-of-fold clip by what was chosen without it, `selected` by
    the final choices, and `holdout` clips that nothing was chosen on.
    Raises PipelineError if the tables are of another corpus or other labels.
    """
    table, nested = out_of_fold.table, out_of_fold.nested_table()
    values = _truth_of(corpus, "out_of_fold", table, target)
    judged = out_of_fold
    if not target.exclusive:
        rows = truth.rows_of(corpus, "out_of_fold", table)
        judged = out_of_fold.aligned(values, corpus.rows["fold"].to_numpy(np.int64)[rows])
    estimate = describe(values, judged.nested_table(), out_of_fold.speakers)
    figures = {
        "run": table.run,
        **(about or {}),
        "estimate": estimate,
        "selected": describe(values, judged.table, out_of_fold.speakers),
        "holdout": _judge_holdout(corpus, target, holdout),
    }
    folder.mkdir(parents=True, exist_ok=True)
    caption = caption_of_estimate(corpus, estimate)
    decided = nested.values.argmax(axis=1) if target.exclusive else None
    if decided is None:
        known = ~np.isnan(values).any(axis=1)
        precisions = metrics.average_precisions(values[known] > 0.5, judged.nested_table().values[known])
        write_precisions(folder / "confusion.csv", target.labels, precisions, values[known].sum(axis=0))
        title = f"{table.run}  ·  estimated mean average precision {estimate['map']:.3f}"
        draw_precisions(folder / "confusion.png", target.labels, precisions, title, caption)
    else:
        counts = metrics.confusion(values, decided, len(target.labels))
        title = f"{table.run}  ·  estimated mean recall {estimate['prior_accuracy']:.3f}"
        confusion.publish(folder, counts, target.labels, title, caption)
    judged_by(nested, decided, target.labels).write(folder / JUDGED)
    provenance.keep_aside(folder)
    submission.write(folder / "submission.csv", {}, [], corpus.vocabulary.submission_labels)
    write_json(folder / "metrics.json", figures)
    return figures


def judge_parts(folder: Path, corpus: Corpus, target: Target) -> dict[str, dict[str, float]]:
    """Return the plain accuracies, "estimate" and "holdout", of each part of a run that is a vote, and of the "vote".

    `folder` holds the run's tables. A run that is no vote has no parts. Raises PipelineError as `publish` does.
    """
    figures: dict[str, dict[str, float]] = {}
    parts = sorted(path for path in (folder / PARTS).glob("*") if path.is_dir())
    for part in [*parts, folder] if parts else []:
        out_of_fold = OutOfFold.read(part, corpus)
        values = _truth_of(corpus, "out_of_fold", out_of_fold.table, target)
        own = {"estimate": describe(values, out_of_fold.nested_table(), out_of_fold.speakers)["accuracy"]}
        path = part / "holdout.parquet"
        if held_out := _judge_holdout(corpus, target, Probabilities.read(path) if path.exists() else None):
            own["holdout"] = held_out["accuracy"]
        figures["vote" if part == folder else part.name] = own
    return figures


def describe(values: NDArray[Any], probabilities: Probabilities, speakers: Sequence[str]) -> dict[str, Any]:
    """Return the figures of clips whose truth is known; see `truth.truth_of` for the shapes of `values`."""
    if values.ndim == 2:
        known = ~np.isnan(values).any(axis=1)
        precisions = metrics.average_precisions(values[known] > 0.5, probabilities.values[known])
        return {
            "map": round(float(np.nanmean(precisions)), 5),
            "labels": len(probabilities.labels),
            "labels_without_clips": int(np.isnan(precisions).sum()),
            "clips": int(known.sum()),
        }
    predicted = probabilities.values.argmax(axis=1)
    figures = metrics.judge(values, predicted, speakers, probabilities.labels)
    if probabilities.labels[0] == ABSENT and len(probabilities.labels) == 2:
        figures["f1"] = round(float(metrics.f1(metrics.confusion(values, predicted, 2))[1]), 5)
    return figures


def _truth_of(corpus: Corpus, judged: truth.JudgedSplit, probabilities: Probabilities, target: Target) -> NDArray[Any]:
    if probabilities.labels != target.labels:
        raise PipelineError(
            f"The {judged} probabilities of run '{probabilities.run}' have other labels than its target "
            f"({len(probabilities.labels)} in the table, {len(target.labels)} there). Run `dvc repro` to predict anew."
        )
    return truth.truth_of(corpus, judged, probabilities, target)


def _judge_holdout(corpus: Corpus, target: Target, holdout: Probabilities | None) -> dict[str, Any] | None:
    if holdout is None or not holdout.clips:
        return None
    values = _truth_of(corpus, "holdout", holdout, target)
    return describe(values, holdout, truth.speakers_of(corpus, truth.rows_of(corpus, "holdout", holdout)))


def write_precisions(path: Path, labels: Sequence[str], precisions: np.ndarray, clips: np.ndarray) -> None:
    """Write the average precision of each label and how many clips have it as CSV, atomically."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["label", AVERAGE, "clips"])
        for label, precision, count in zip(labels, precisions, clips, strict=True):
            writer.writerow([label, "" if np.isnan(precision) else f"{precision:.5f}", int(count)])


def read_precisions(path: Path) -> list[dict[str, Any]]:
    """Return what `write_precisions` wrote, a label each: "label", "value" (None where no clip has it), "clips"."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            {"label": row["label"], "value": float(row[AVERAGE]) if row[AVERAGE] else None, "clips": int(row["clips"])}
            for row in csv.DictReader(file)
        ]


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
