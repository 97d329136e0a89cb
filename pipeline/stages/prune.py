"""prune: list, and remove when asked to, what runs left that params.yaml lists no more."""

from pipeline import params
from pipeline.jobs import pruning
from pipeline.layout import Layout


def main(layout: Layout, remove: bool = False) -> None:
    """Print what can go: unfinished trainings, times, files under a local score. With `remove`, delete it.

    Raises PipelineError if params.yaml cannot be read, or lists no runs.
    """
    found = pruning.leftovers(layout, params.read(layout.params))
    for path in found:
        print(path.relative_to(layout.root))
    if remove:
        pruning.remove(found)
    print(
        "Nothing is left of runs that are listed no more."
        if not found
        else f"Removed: {len(found)}."
        if remove
        else "Nothing was removed. To remove it: python -m pipeline prune --remove"
    )
