"""Turn one run's probabilities into a submission, by the rule in params.yaml. Seconds; nothing is retrained."""

from typing import Any

import numpy as np

from pipeline import params
from pipeline.clips.corpus import Corpus
from pipeline.errors import PipelineError
from pipeline.layout import Layout
from pipeline.scoring import submission, verdict
from pipeline.scoring.decision import Decide
from pipeline.scoring.ensemble import NAME as ENSEMBLE
from pipeline.scoring.probabilities import Probabilities


def main(layout: Layout, run: str) -> None:
    """Write submissions/<run>/: submission.csv, metrics.json, confusion.csv, confusion.png."""
    tree = params.read(layout.params)
    folder = layout.probabilities(run)
    held_out = folder / "testing.parquet"
    verdict.publish(
        layout.submission(run),
        settings(tree).for_run(run),
        Corpus.open(layout.prepare),
        submission.read_sample(layout.prepare / "sample.csv"),
        Probabilities.read(folder / "validation.parquet"),
        Probabilities.read(folder / "test.parquet"),
        Probabilities.read(held_out) if held_out.exists() else None,
        np.random.default_rng(params.seed(tree)),
    )


def settings(tree: dict[str, Any]) -> Decide:
    """Return the section `decide`. Raises PipelineError if it overrides a run that is not listed."""
    decide = params.section(tree, "decide", Decide)
    strange = sorted(set(decide.overrides) - set(runs(tree)) - {ENSEMBLE})
    if strange:
        raise PipelineError(
            f"params.yaml, decide.overrides: {', '.join(strange)} is no run. Runs: {', '.join([*runs(tree), ENSEMBLE])}"
        )
    return decide


def runs(tree: dict[str, Any]) -> list[str]:
    """Return the names of the runs. Raises PipelineError if params.yaml lists none."""
    listed = tree.get("runs")
    if not isinstance(listed, dict) or not listed:
        raise PipelineError(f"params.yaml: 'runs' must list at least one run by name; found {listed!r}.")
    if ENSEMBLE in listed:
        raise PipelineError(f"params.yaml: a run cannot be called '{ENSEMBLE}', since that is the vote of all runs.")
    return [str(run) for run in listed]
