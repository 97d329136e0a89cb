"""validate: hold a submission file against the sample submission, before Kaggle does at the price of a submission."""

from pathlib import Path

from pipeline import params, sections
from pipeline.delivery.terminal import say
from pipeline.layout import Layout
from pipeline.scoring import validation
from pipeline.scoring.shares import expected, shares_of
from pipeline.sources import archives


def main(layout: Layout, path: Path, sample: Path | None = None, fix: bool = False) -> None:
    """Print the share of each label and what is wrong; `sample` is another sample submission than the corpus's.

    With `fix`, what can be repaired for certain is, in a copy, which is checked then. It needs no corpus, no run and no
    params.yaml. Raises PipelineError that lists the problems by line, if there are any.
    """
    tree = params.read(layout.params) if layout.params.exists() else {}
    sample = validation.sample_of(path, layout.prepare, sample)
    labels = validation.labels_of(sample, tree.get("prepare"))
    run = path.resolve().parent.name
    asked = sections.decide(tree).for_run(run).prior if tree.get("runs") else "uniform"
    prior = shares_of(expected(asked, layout.submission(run)), labels).tolist()
    names = archives.names(sample)
    data = validation.read(path, sample, names, labels)
    if fix:
        path, data = validation.fix(path, data, names, labels)
    findings = validation.examine(path, data, sample, names, labels)
    validation.show(findings, labels, prior)
    validation.warn(findings, labels, prior)
    if not findings.in_order:
        say("The rows are in another order than the sample's, which Kaggle does not mind.")
    say(f"{path} is valid: {len(findings.labels)} clips")
