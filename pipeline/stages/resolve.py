"""resolve: params.yaml as each stage sees it, so that a change runs what it concerns, and nothing else."""

from pipeline import params
from pipeline.files import write_json
from pipeline.jobs.pruning import remove_outputs
from pipeline.jobs.resolving import resolved
from pipeline.layout import Layout


def main(layout: Layout) -> None:
    """Write artifacts/params.json; remove the outputs of runs and folds that are listed no more.

    DVC's cache has them, should they come back. Raises PipelineError as `resolving.resolved`.
    """
    text = params.text_of(layout.params)  # once: it may be edited any time
    tree = params.parsed(text, layout.params)
    write_json(layout.resolved, {**resolved(tree), params.TEXT: text})
    if gone := remove_outputs(layout, tree):
        names = ", ".join(str(folder.relative_to(layout.root)) for folder in gone)
        print(f"No longer listed in params.yaml, so removed (DVC's cache keeps it): {names}")
