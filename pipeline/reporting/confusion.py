"""The confusion matrix as a table and as a picture: rows are the truth, columns the prediction."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline import metrics
from pipeline.files import replacing

CORNER = "truth \\ predicted"
RIGHT = ["#ffffff", "#d6e6f2", "#7fb2d6", "#2f77ad", "#0f3d66"]
WRONG = ["#ffffff", "#fde3cf", "#f7b27f", "#e0702f", "#a83e0c"]
WRONG_FULL = 0.4  # share of a row at which the colour of a mistake is full: most are a few per cent
DARK_FROM = 0.55  # share of the full colour from which white figures read better than dark ones
INK, FAINT = "#1b2733", "#7b8794"


def publish(folder: Path, counts: np.ndarray, labels: Sequence[str], title: str, caption: str) -> None:
    """Write int [labels, labels] as confusion.csv and confusion.png to `folder`."""
    write_table(folder / "confusion.csv", counts, labels)
    draw(folder / "confusion.png", counts, labels, title, caption)


def write_table(path: Path, counts: np.ndarray, labels: Sequence[str]) -> None:
    """Write int [labels, labels] as CSV with the labels as first row and first column, atomically."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([CORNER, *labels])
        writer.writerows([label, *row] for label, row in zip(labels, counts.tolist(), strict=True))


def draw(path: Path, counts: np.ndarray, labels: Sequence[str], title: str, caption: str = "") -> None:
    """Draw int [labels, labels] as PNG, atomically.

    Figures are clips; colour is their share of the row, blue where they are right, orange where they are wrong. The
    recall of each label stands at the right of its row, `caption` below the title.
    """
    # Imported here, and without pyplot, because it takes most of a second and only this needs it.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    size = len(labels)
    recalls = metrics.recalls(counts)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = max(5.0, 0.62 * size)
    figure = Figure(figsize=(side + 2.2, side + 1.9), dpi=130, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((1.25 / (side + 2.2), 0.95 / (side + 1.9), side / (side + 2.2), side / (side + 1.9)))
    right = np.eye(size, dtype=bool)
    depth = np.where(right, shares, np.minimum(shares / WRONG_FULL, 1))
    blue, orange = (LinearSegmentedColormap.from_list(stops[-1], stops) for stops in (RIGHT, WRONG))
    axes.imshow(np.where(right[..., None], blue(depth), orange(depth)), aspect="equal")

    small = 10 if counts.max() < 1000 else 8.5
    for row, column in zip(*np.nonzero(counts), strict=True):
        axes.text(
            column,
            row,
            f"{counts[row, column]:,}",
            ha="center",
            va="center",
            fontsize=small,
            fontweight="bold" if row == column else "normal",
            color="white" if depth[row, column] > DARK_FROM else INK,
        )
    for row, recall in enumerate(recalls):
        text = "–" if np.isnan(recall) else f"{recall:.1%}"
        axes.text(size - 0.3, row, text, ha="left", va="center", fontsize=10, color=INK)
    axes.text(size - 0.3, -0.75, "recall", ha="left", va="center", fontsize=10, color=FAINT)

    axes.set_xticks(range(size), labels, rotation=40, ha="right", rotation_mode="anchor", fontsize=10.5, color=INK)
    axes.set_yticks(range(size), labels, fontsize=10.5, color=INK)
    axes.set_xticks(np.arange(size + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(size + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#e3e8ee", linewidth=0.8)
    axes.tick_params(which="both", length=0)
    for spine in axes.spines.values():
        spine.set_edgecolor("#c5ced8")
    axes.set_xlabel("predicted", fontsize=10, color=FAINT, labelpad=4)
    axes.set_ylabel("truth", fontsize=10, color=FAINT, labelpad=4)
    top = 0.95 + side
    figure.text(1.25 / (side + 2.2), (top + 0.58) / (side + 1.9), title, fontsize=14, fontweight="bold", color=INK)
    figure.text(1.25 / (side + 2.2), (top + 0.31) / (side + 1.9), caption, fontsize=10, color=FAINT)
    with replacing(path) as temporary:
        # No software version in the file: equal pictures are equal bytes.
        figure.savefig(temporary, metadata={"Software": None})
