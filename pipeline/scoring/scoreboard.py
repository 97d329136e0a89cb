"""The local scoreboard: accuracy on the public and the private part of known answers, as Kaggle reckons it."""

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas

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


def keep(path: Path, folder: Path, run: str, score: str) -> Path:
    """Copy a submission to `<score>_<run>.csv` in `folder` and return that path.

    Copies of the very same file under another score of this run go, with their pictures; all other files stay.
    """
    kept = folder / f"{score}_{run}.csv"
    digest = sha256_of(path)
    for other in folder.glob(f"*_{run}.csv"):
        is_score = re.fullmatch(rf"\d\.\d{{5}}_{re.escape(run)}\.csv", other.name)
        if is_score and other != kept and sha256_of(other) == digest:
            other.unlink()
            other.with_suffix(".png").unlink(missing_ok=True)
    with replacing(kept) as temporary:
        shutil.copyfile(path, temporary)
    return kept
