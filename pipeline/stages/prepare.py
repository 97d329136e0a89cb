"""prepare: stream what was downloaded into the corpus; decide splits and folds, make the silence."""

from pipeline import params
from pipeline.clips.preparation import Prepare
from pipeline.jobs.preparing import prepare
from pipeline.layout import Layout


def main(layout: Layout) -> None:
    """Write artifacts/prepare and print what is in it. Raises PipelineError as `preparing.prepare`."""
    tree = params.read(layout.params)
    print(prepare(layout, params.section(tree, "prepare", Prepare), params.seed(tree)))
