"""validate: hold a submission file against the sample submission, before Kaggle does at the price of a submission."""

from pathlib import Path

from pipeline import params
from pipeline.delivery.terminal import say
from pipeline.jobs.validating import sample_for
from pipeline.layout import Layout


def main(layout: Layout, path: Path, sample: Path | None = None, fix: bool = False) -> None:
    """Print the share of each label and what is wrong; `sample` is another sample submission than the corpus's.

    With `fix`, what can be repaired for certain is, in a copy, which is checked then. It needs no corpus, no run and no
    params.yaml. Raises PipelineError that lists the problems by line, if there are any.
    """
    tree = params.read(layout.params) if layout.params.exists() else {}
    reference = sample_for(path, path.resolve().parent.name, layout, tree, sample)
    data = reference.read(path)
    if fix:
        path, data = reference.fix(path, data)
    findings = reference.examine(path, data)
    reference.show(findings)
    reference.warn(findings)
    if not findings.in_order:
        say("The rows are in another order than the sample's, which Kaggle does not mind.")
    say(f"{path} is valid: {len(findings.labels)} clips")
