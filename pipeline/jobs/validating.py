"""What a submission file is held against, whoever made it."""

from pathlib import Path
from typing import Any

from pipeline import sections
from pipeline.layout import Layout
from pipeline.scoring import validation
from pipeline.scoring.shares import expected, shares_of
from pipeline.scoring.validation import Sample
from pipeline.sources import archives


def sample_for(path: Path, run: str, layout: Layout, tree: dict[str, Any], given: Path | None) -> Sample:
    """Return what `path`, a submission of `run`, is held against: the sample submission `given`, or one that is here.

    `tree` may be empty: a file from elsewhere needs no params.yaml. Raises PipelineError where there is no sample.
    """
    found = validation.sample_of(path, layout.prepare, given)
    labels = validation.labels_of(found, tree.get("prepare"))
    asked = sections.decide(tree).for_run(run).prior if tree.get("runs") else "uniform"
    prior = shares_of(expected(asked, layout.submission(run)), labels)
    return Sample(found, archives.names(found), labels, prior.tolist())
