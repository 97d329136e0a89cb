"""The local scoreboard: accuracy on the public and the private part of known answers, as Kaggle reckons it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas
from numpy.typing import NDArray
from rich.table import Table

from pipeline import metrics
from pipeline.errors import PipelineError

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


def confusions(predicted: Mapping[str, str], answers: pandas.DataFrame, labels: Sequence[str]) -> NDArray[np.int64]:
    """Return int64 [labels, labels], rows are the answers, of label by clip; each answer has a prediction."""
    given = [predicted[name] for name in answers["fname"].tolist()]
    return metrics.count(answers["label"].tolist(), given, labels)


def table(scores: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return one line a run, best private score first. Parts that no run was judged on have no column."""
    named = ("private", "public", "holdout", "estimate", "unheard_recall")
    parts = [part for part in named if any(score.get(part) is not None for score in scores.values())]
    made = Table("run", *(part.replace("_", " ") for part in parts))
    for run, score in sorted(scores.items(), key=_best_first):
        made.add_row(run, *(five(score.get(part)) or "-" for part in parts))
    return made


def _best_first(item: tuple[str, Mapping[str, Any]]) -> float:
    private, estimate = item[1]["private"], item[1]["estimate"]
    return -(estimate if private is None else private)


def five(value: float | None) -> str:
    """Return a score with five decimals, as Kaggle gives it; "" for None."""
    return "" if value is None else f"{value:.5f}"
