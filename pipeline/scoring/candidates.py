"""What is submitted: which file is meant, what made it, what Kaggle's list is told of it, where it is kept."""

from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.delivery.duplicates import Fingerprint
from pipeline.delivery.ledger import Row
from pipeline.delivery.scores import Keep, Scored
from pipeline.delivery.submitting import Candidate
from pipeline.errors import PipelineError
from pipeline.scoring import provenance, scored_files

_FILE = "submission.csv"


def locate(target: str, runs: Sequence[str], submissions: Path) -> tuple[str, Path]:
    """Return the run's name and the file that the user means by `target`: a run, or the path of a file.

    A file that lies in no run's folder has its own name for a run's. Raises PipelineError for neither.
    """
    of_run = submissions / target / _FILE
    if target in runs or (Path(target).name == target and of_run.exists()):
        return target, of_run
    path = Path(target)
    if not path.exists() and path.suffix.lower() != ".csv":
        known = f"Runs: {', '.join(runs)}." if runs else "params.yaml lists no runs."
        raise PipelineError(f"There is no run '{target}', and no such file. {known} A file is named by its path.")
    if path.name == _FILE:
        return path.resolve().parent.name, path
    return path.stem, path


def make(target: str, run: str, path: Path, data: bytes, submissions: Path, message: str) -> Candidate:
    """Return the file as a candidate; which run made it, how, and its figures are believed of its very bytes alone."""
    sha256 = provenance.digest(data)
    made = provenance.find(sha256, submissions, run)
    note, picture = [message], path.with_suffix(".png")
    if made is not None:
        if path.name != _FILE:  # a copy of what the run has made
            run = made.folder.name
        accuracy, picture = provenance.accuracy_of(sha256, made.folder), made.folder / "confusion.png"
        note = [f"validation {accuracy:.3f}" if accuracy is not None else "", message]
    return Candidate(
        run,
        data,
        Fingerprint(sha256, len(data), path.name, path.stat().st_mtime),
        " | ".join(filter(None, note)),
        made.commit if made else provenance.NOT_OURS,
        made.params if made else "",
        target,
        picture.read_bytes() if picture.is_file() else b"",
    )


def keeper(submissions: Path, say: Callable[[str], None]) -> Keep:
    """Return what keeps a file that Kaggle has scored in `submissions`, and says so where that is news."""

    def keep(scored: Scored) -> None:
        before = scored_files.find(submissions, scored.run, scored.sha256)
        kept = scored_files.keep(submissions, scored.run, scored.score, scored.sha256, scored.file, scored.picture)
        if kept is not None and kept != before:
            say(f"Kept as {kept}")

    return keep


def finder(submissions: Path) -> Callable[[Row], tuple[str, str]]:
    """Return what tells of a submission its accuracy on validation, and where its file is kept; "" if not known."""

    def find(row: Row) -> tuple[str, str]:
        accuracy = provenance.accuracy_of(row.sha256, submissions / row.run) if row.sha256 else None
        kept = scored_files.find(submissions, row.run, row.sha256)
        return f"{accuracy:.3f}" if accuracy is not None else "", str(kept or "")

    return find


def outcome(row: Row, page: str) -> str:
    """Return the scores of a submission as a line. Raises PipelineError if its scoring failed."""
    if row.status == "error":
        raise PipelineError(
            f"Kaggle could not score '{row.run}' (ref {row.ref}): {row.reason or 'no reason given'}\n"
            f"It counts as a submission. Is the file one of this competition? See {page}/submissions"
        )
    return f"'{row.run}': private {row.private or 'unknown'}, public {row.public or 'unknown'}"
