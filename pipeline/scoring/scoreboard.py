"""The local scoreboard: accuracy on the public and the private part of known answers, as Kaggle reckons it."""

import functools
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas
from rich.table import Table

from pipeline.errors import PipelineError
from pipeline.files import replacing, sha256_of

PARTS = ("Public", "Private")


@dataclass(frozen=True)
class Score:
    """Accuracy of both parts, None where a part has no clips."""

    public: float | None
    private: float | None
    n_public: int
    n_private: int


def read_answers(path: Path, labels: Sequence[str]) -> pandas.DataFrame | None:
    """Return columns fname, label, usage (Public or Private); None where the answers are not known.

    Raises PipelineError for a missing file, other columns, an answer or usage that does not exist, a clip named twice.
    """
    try:
        answers = pandas.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise PipelineError(f"There is no {path}. Run `dvc repro`: stage prepare makes it.") from None
    if list(answers.columns) != ["fname", "label", "usage"]:
        raise PipelineError(f"{path} must have the columns fname, label, usage; found {', '.join(answers.columns)}.")
    for column, allowed in (("label", labels), ("usage", PARTS)):
        strange = sorted(set(answers[column]) - set(allowed))
        if strange:
            raise PipelineError(f"{path}, column {column}: found {', '.join(strange)}; allowed: {', '.join(allowed)}.")
    if answers["fname"].duplicated().any():
        raise PipelineError(f"{path} names {int(answers['fname'].duplicated().sum())} clips more than once.")
    return None if answers.empty else answers


def score(predicted: Mapping[str, str], answers: pandas.DataFrame) -> Score:
    """Return the score of label by clip. Raises PipelineError for a clip that has an answer and no prediction."""
    given = answers["fname"].map(predicted)
    if given.isna().any():
        missing = answers["fname"][given.isna()]
        raise PipelineError(
            f"{len(missing)} clips of the answers have no row in the submission, such as {missing.iloc[0]}."
        )
    right = (given == answers["label"]).groupby(answers["usage"]).agg(["mean", "size"])
    sizes = {part: int(right["size"].get(part, 0)) for part in PARTS}
    shares = {part: float(right["mean"][part]) if sizes[part] else None for part in PARTS}
    return Score(shares["Public"], shares["Private"], sizes["Public"], sizes["Private"])


def table(scores: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return one line a run, best private score first. Parts that no run was judged on have no column."""
    named = ("private", "public", "holdout", "estimate", "unheard_recall")
    parts = [part for part in named if any(score.get(part) for score in scores.values())]
    made = Table("run", *(part.replace("_", " ") for part in parts))
    for run, score in sorted(scores.items(), key=lambda item: -(item[1]["private"] or item[1]["estimate"])):
        made.add_row(run, *(five(score.get(part)) or "-" for part in parts))
    return made


def five(value: float | None) -> str:
    """Return a score with five decimals, as Kaggle gives it; "" for None."""
    return "" if value is None else f"{value:.5f}"


def keep(
    folder: Path, run: str, score: str, sha256: str, file: Path | None = None, picture: Path | None = None
) -> Path | None:
    """Keep a submission in `folder` as `<score>_<run>.csv`, its picture beside it; return its path.

    `file` is a copy of it; without one, only what is kept already gets its new name. Where another file has the name,
    the first 8 digits of its SHA-256 follow: no file is ever overwritten. Returns None where there is no copy at all.
    """
    plain = folder / f"{score}_{run}.csv"
    held = {path: _sha256(path) for path in kept(folder, run)}
    there = next((path for path, digest in held.items() if digest == sha256), None)
    # Whoever else has looked after these files: a name that is taken by other bytes stays theirs.
    marked = plain.with_stem(f"{plain.stem}-{sha256[:8]}")
    free = [each for each in (plain, marked) if each == there or not each.exists()]
    path = free[0] if free else marked.with_stem(f"{plain.stem}-{sha256}")
    if there is not None and there not in (plain, marked):
        os.replace(there, path)
        if (drawn := there.with_suffix(".png")).exists():
            os.replace(drawn, path.with_suffix(".png"))
    elif there is not None:
        path = there
    elif file is not None and file.exists():
        _copy(file, path)
    else:
        return None
    if picture is not None and picture.exists():
        _copy(picture, path.with_suffix(".png"))
    return path


def find(folder: Path, run: str, sha256: str) -> Path | None:
    """Return the kept file of a run with this SHA-256, None if there is none."""
    return next((path for path in kept(folder, run) if sha256 and _sha256(path) == sha256), None)


def kept(folder: Path, run: str | None = None) -> list[Path]:
    """Return the files that are kept under their scores, of one run or of all, sorted."""
    name = re.compile(rf"-?\d+\.\d{{5}}_{'.+' if run is None else re.escape(run)}(-[0-9a-f]{{8,64}})?\.csv")
    return sorted(path for path in folder.glob("*.csv") if name.fullmatch(path.name))


def _copy(file: Path, target: Path) -> None:
    with replacing(target) as temporary:
        shutil.copyfile(file, temporary)


def _sha256(path: Path) -> str:
    about = path.stat()
    return _sha256_of(path, about.st_size, about.st_mtime_ns)


@functools.lru_cache(maxsize=4096)
def _sha256_of(path: Path, size: int, written_ns: int) -> str:
    """Return the SHA-256 of a file that has not been written since; a list of submissions asks for it row by row."""
    return sha256_of(path)
