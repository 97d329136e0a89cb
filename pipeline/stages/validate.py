"""validate: hold a submission file against the sample submission, before Kaggle does at the price of a submission."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline import params, sections
from pipeline.clips.labels import COMMANDS, Vocabulary
from pipeline.errors import PipelineError
from pipeline.files import read_json
from pipeline.layout import Layout
from pipeline.scoring import inspection, submission
from pipeline.scoring.decision import shares_of


def main(layout: Layout, path: Path, sample: Path | None = None) -> None:
    """Print the share of each label and what is wrong; `sample` is another sample submission than the corpus's.

    Raises PipelineError that lists the problems by line, if there are any.
    """
    findings, labels, expected = inspect(layout, params.read(layout.params), path, inspection.read(path), sample)
    show(findings, labels, expected)
    warn(findings, labels, expected)
    if not findings.in_order:
        _say("The rows are in another order than the sample's, which Kaggle does not mind.")
    _say(f"{path} is valid: {len(findings.labels)} clips")


def inspect(
    layout: Layout, tree: dict[str, Any], path: Path, data: bytes, sample: Path | None = None
) -> tuple[inspection.Findings, list[str], list[float]]:
    """Return what is found in `data`, the labels, and the share that each is expected to have.

    The shares are `decide.prior`, that of the run where `path` lies in a run's folder. Raises PipelineError for an
    invalid file.
    """
    labels = labels_of(layout, tree)
    run = path.resolve().parent.name
    expected = shares_of(sections.decide(tree).for_run(run).prior, labels).tolist()
    sample = sample or _sample_beside(layout, path)
    names = submission.read_sample(sample)
    if not names:
        raise PipelineError(f"{sample} names no clips, so there is nothing to submit.")
    findings = inspection.inspect(data, names, labels)
    if findings.problems:
        raise PipelineError(
            f"{path} is no valid submission ({len(findings.problems)} problems; sample: {sample}):\n{findings.report()}"
        )
    return findings, labels, expected


def _sample_beside(layout: Layout, path: Path) -> Path:
    """Return the corpus's sample submission, or the one that a kernel's output brought, where there is no corpus."""
    brought, own = path.parent / "sample.csv", layout.prepare / "sample.csv"
    return brought if brought.exists() and not own.exists() else own


def labels_of(layout: Layout, tree: dict[str, Any]) -> list[str]:
    """Return the labels that a submission may hold: those of the corpus, or of params.yaml where there is none yet."""
    try:
        commands = read_json(layout.prepare / "corpus.json")["commands"]
    except FileNotFoundError:
        commands = (tree.get("prepare") or {}).get("commands") or COMMANDS
    return Vocabulary(tuple(commands), tuple(commands)).submission_labels


def show(findings: inspection.Findings, labels: Sequence[str], expected: Sequence[float]) -> None:
    """Print each label's share beside the expected one."""
    shares = findings.shares(labels)
    table = Table("label", "clips", "share", "expected")
    for label, prior in zip(labels, expected, strict=True):
        table.add_row(label, str(round(shares[label] * len(findings.labels))), f"{shares[label]:.1%}", f"{prior:.1%}")
    Console().print(table)


def warn(findings: inspection.Findings, labels: Sequence[str], expected: Sequence[float]) -> None:
    """Print a warning of each label that has vanished or crowds out the others."""
    shares = findings.shares(labels)
    for label, prior in zip(labels, expected, strict=True):
        if shares[label] > inspection.CROWDED:
            _say(f"Warning: {shares[label]:.0%} of the clips are '{label}'.")
        elif not shares[label] and prior:
            _say(f"Warning: no clip is '{label}', of which {prior:.1%} were expected.")


def _say(text: str) -> None:
    Console().print(text, soft_wrap=True, markup=False, highlight=False)
