"""resolve: params.yaml as each stage sees it, so that a change runs what it concerns, and nothing else."""

import shutil

from pipeline import params
from pipeline.files import write_json
from pipeline.jobs.resolving import resolved, unlisted
from pipeline.layout import Layout


def main(layout: Layout) -> None:
    """Write artifacts/params.json; remove the trainings and probabilities of runs and folds that are listed no more.

    DVC's cache has them, should they come back. Raises PipelineError as `resolving.resolved`.
    """
    tree = params.read(layout.params)
    write_json(layout.resolved, resolved(tree))
    gone = unlisted(layout, tree)
    for folder in gone:
        shutil.rmtree(folder)
    if gone:
        names = ", ".join(str(folder.relative_to(layout.root)) for folder in gone)
        print(f"No longer listed in params.yaml, so removed (DVC's cache keeps it): {names}")
