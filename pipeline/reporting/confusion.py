"""The confusion matrix as a table and as a picture: rows are the truth, columns the prediction."""

import csv
import functools
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline import metrics
from pipeline.files import replacing

if TYPE_CHECKING:
    from PIL import Image, ImageFont

CORNER = "truth \\ predicted"
RIGHT = ["#ffffff", "#d6e6f2", "#7fb2d6", "#2f77ad", "#0f3d66"]
WRONG = ["#ffffff", "#fde3cf", "#f7b27f", "#e0702f", "#a83e0c"]
WRONG_FULL = 0.4  # share of a row at which the colour of a mistake is full: most are a few per cent
INK, FAINT, GRID = "#1b2733", "#7b8794", "#d5dce4"
MOST_FIGURES = 60  # labels, of which a picture with figures is 5,000 pixels wide
GAP = 12  # pixels between the matrix and what stands beside it


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
    recall of each label stands at the right of its row, `caption` below the title. Of more than 60 labels the cells are
    too small for figures, which confusion.csv has.
    """
    # Pillow, and not matplotlib, which takes most of a second to load: as long as all else that `decide` does.
    from PIL import Image, ImageDraw

    size = len(labels)
    cell = max(80, 640 // size) if size <= MOST_FIGURES else max(12, 80 * MOST_FIGURES // size)
    regular, bold, heading = _font(min(19, cell)), _font(19, bold=True), _font(25, bold=True)
    recalls = ["–" if np.isnan(recall) else f"{recall:.1%}" for recall in metrics.recalls(counts)]
    left = 70 + _width(regular, labels)
    width = left + cell * size + 2 * GAP + _width(regular, ["recall", *recalls])
    width = max(width, left + GAP + _width(heading, title.split()))
    titles = _wrapped(title, heading, width - left - GAP)
    lines = _wrapped(caption, regular, width - left - GAP)
    below_title = 42 + 34 * len(titles)
    top = below_title + 26 * len(lines) + 34
    slanted = [_slanted(label, regular) for label in labels]
    bottom = top + cell * size + GAP
    below = bottom + max(label.height for label in slanted)
    picture = Image.new("RGB", (width, below + 50), "white")
    pen = ImageDraw.Draw(picture)

    for number, line in enumerate(titles):
        pen.text((left, 30 + 34 * number), line, INK, heading)
    for number, line in enumerate(lines):
        pen.text((left, below_title + 26 * number), line, FAINT, regular)
    pen.text((width - GAP, top - GAP), "recall", FAINT, regular, anchor="rs")
    middle = (left + cell * size / 2, top + cell * size / 2)
    pen.text((middle[0], below + 30), "predicted", FAINT, regular, anchor="ms")
    truth = _text("truth", regular, FAINT).rotate(90, expand=True)
    picture.paste(truth, (16, round(middle[1] - truth.height / 2)), truth)

    depth = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    is_right = np.eye(size, dtype=bool)
    depth = np.where(is_right, depth, np.minimum(depth / WRONG_FULL, 1))
    for row, column in np.ndindex(size, size):
        x, y = left + cell * column, top + cell * row
        fill = _colour(RIGHT if row == column else WRONG, depth[row, column])
        pen.rectangle((x, y, x + cell, y + cell), fill, GRID)
        if counts[row, column] and size <= MOST_FIGURES:
            font = bold if row == column else regular
            pen.text((x + cell / 2, y + cell / 2), f"{counts[row, column]:,}", _ink(fill), font, anchor="mm")
    for number, (label, recall) in enumerate(zip(labels, recalls, strict=True)):
        across, down = left + cell * number + cell // 2, top + cell * number + cell / 2
        pen.text((left - GAP, down), label, INK, regular, anchor="rm")
        pen.text((width - GAP, down), recall, INK, regular, anchor="rm")
        picture.paste(slanted[number], (across - slanted[number].width + GAP, bottom), slanted[number])
    with replacing(path) as temporary:
        picture.save(temporary, optimize=True)


@functools.cache
def _font(size_px: int, bold: bool = False) -> "ImageFont.FreeTypeFont":
    """Return DejaVu Sans, as matplotlib brings it (which need not be loaded).

    It has Latin, Greek, Cyrillic, Arabic, Hebrew, Georgian and Armenian letters, and boxes for others.
    """
    from PIL import ImageFont

    found = find_spec("matplotlib")
    assert found is not None
    assert found.origin is not None
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / name, size_px)


def _width(font: "ImageFont.FreeTypeFont", texts: Sequence[str]) -> int:
    """Return the pixels of the widest of the texts."""
    return max(round(font.getlength(text)) for text in texts)


def _wrapped(text: str, font: "ImageFont.FreeTypeFont", width: int) -> list[str]:
    """Return the text in lines of at most `width` pixels, or of one word."""
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _text(text: str, font: "ImageFont.FreeTypeFont", colour: str) -> "Image.Image":
    """Return a line of text on nothing, as wide and as high as it is."""
    from PIL import Image, ImageDraw

    picture = Image.new("RGBA", (_width(font, [text]) + 2, 26), f"{colour}00")
    ImageDraw.Draw(picture).text((0, 0), text, colour, font)
    return picture


def _slanted(label: str, font: "ImageFont.FreeTypeFont") -> "Image.Image":
    """Return a label that rises to its upper right corner."""
    from PIL.Image import Resampling

    return _text(label, font, INK).rotate(40, Resampling.BICUBIC, expand=True)


def _ink(fill: tuple[int, int, int]) -> str:
    """Return the ink that reads better on a colour: dark, or white."""
    own, dark = _luminance(fill), _luminance(_colour([INK], 0))
    return INK if (own + 0.05) / (dark + 0.05) >= 1.05 / (own + 0.05) else "white"


def _luminance(colour: tuple[int, int, int]) -> float:
    """Return the relative luminance, 0 to 1, of sRGB in bytes (WCAG 2.2)."""
    linear = [
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4
        for share in (value / 255 for value in colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _colour(stops: Sequence[str], depth: float) -> tuple[int, int, int]:
    """Return the colour at a share, 0 to 1, of the way through stops of #rrggbb."""
    places = np.linspace(0, 1, len(stops))
    red, green, blue = (
        round(float(np.interp(depth, places, [int(stop[start : start + 2], 16) for stop in stops])))
        for start in (1, 3, 5)
    )
    return red, green, blue
