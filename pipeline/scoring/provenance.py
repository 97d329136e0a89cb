"""What made a submission file: written down beside it when it is written, and only believed of these very bytes."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import UnreadableJsonError
from pipeline.files import read_json, replacing, sha256_of, write_json

# In the column `commit` of the ledger.
NOT_OURS = "not made by this project"

_FILE, _FIGURES, _KEY = "submission.csv", "metrics.json", "provenance"


@dataclass(frozen=True)
class Provenance:
    """The file's SHA-256, the commit of the code and the digest of the parameters that made it; where that is noted."""

    sha256: str
    commit: str
    params: str
    folder: Path


def publish(folder: Path, submission: str, figures: Mapping[str, Any], commit: str, params: str) -> None:
    """Write a run's submission.csv and metrics.json, which says what made the file, to `folder`.

    What no run has written goes aside first. A run's former file goes before the figures are replaced, and the new one
    comes after them: whenever it is killed, there is no file that the figures do not know.
    """
    keep_aside(folder)
    with replacing(folder / _FILE) as temporary:
        temporary.write_bytes(submission.encode())
        (folder / _FILE).unlink(missing_ok=True)
        write_json(folder / _FIGURES, figures)
        note(folder, commit, params, temporary)


def note(folder: Path, commit: str, params: str, file: Path | None = None) -> None:
    """Add to the metrics.json in a run's folder what made `file`, by default the submission.csv beside it, if any."""
    path, made_file = folder / _FIGURES, file or folder / _FILE
    if made_file.is_file():
        made = {"sha256": sha256_of(made_file), "commit": commit, "params": params}
        write_json(path, {**read_json(path), _KEY: made})


def find(sha256: str, submissions: Path, run: str = "") -> Provenance | None:
    """Return what made the file with this SHA-256; None for one that no run in `submissions` has written.

    Where several have, the one called `run` comes first.
    """
    folders = [submissions / run] * bool(run) + sorted(path.parent for path in submissions.glob(f"*/{_FIGURES}"))
    return next((made for made in map(_noted, folders) if made is not None and made.sha256 == sha256), None)


def accuracy_of(sha256: str, folder: Path) -> float | None:
    """Return the estimated accuracy, if `folder` holds the figures of the file with this SHA-256."""
    made = _noted(folder)
    figures = read_json(folder / _FIGURES).get("estimate") if made and made.sha256 == sha256 else None
    figure = (figures or {}).get("prior_accuracy")
    return float(figure) if isinstance(figure, int | float) else None


def keep_aside(folder: Path) -> None:
    """Move a submission.csv in a run's folder that no run has written out of the way, and say so.

    It is then in `<folder>/../by-hand/`.
    """
    path = folder / _FILE
    if not path.is_file() or path.stat().st_size <= len("fname,label\n"):
        return  # there is none, or one without clips: of a run that submits nothing
    sha256 = sha256_of(path)
    try:
        made = _noted(folder)
    except UnreadableJsonError:
        made = None  # they are about to be made anew
    if (made is not None and made.sha256 == sha256) or _is_recorded(path, folder.parent.parent / "dvc.lock"):
        return
    kept = folder.parent / "by-hand" / f"{folder.name}-{sha256[:8]}.csv"
    kept.parent.mkdir(parents=True, exist_ok=True)
    os.replace(path, kept)
    print(f"{path} was not made by this project: it is kept as {kept}")


def _is_recorded(path: Path, lock: Path) -> bool:
    """Say whether DVC has recorded these very bytes as a stage's: as of a run before provenance was noted."""
    try:
        recorded = lock.read_text(encoding="utf-8")
    except OSError:
        return False
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() in recorded


def digest(data: bytes) -> str:
    """Return the SHA-256 by which a file is known."""
    return hashlib.sha256(data).hexdigest()


def _noted(folder: Path) -> Provenance | None:
    """Return what a run's metrics.json says of the file beside it; None where it says nothing."""
    try:
        values = read_json(folder / _FIGURES)[_KEY]
        return Provenance(str(values["sha256"]), str(values["commit"]), str(values["params"]), folder)
    except (OSError, KeyError, TypeError):
        return None
