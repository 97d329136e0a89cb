"""kernel: the whole project as a notebook on Kaggle: build it, push it, see how it is doing, fetch its submission."""

from functools import partial
from pathlib import Path
from typing import Any

from pipeline import params, runs
from pipeline.delivery import bundle, kernel, kernel_dataset
from pipeline.delivery.kernel_session import PAGE
from pipeline.delivery.settings import Kernel, Submit
from pipeline.delivery.terminal import say
from pipeline.errors import PipelineError
from pipeline.layout import Layout
from pipeline.scoring import kernel_output, validation
from pipeline.scoring.settings import ENSEMBLE


def build(layout: Layout) -> Path:
    """Write notebook and metadata to artifacts/kernel/bundle and return the folder. Raises PipelineError for bad
    parameters, and for a kernel that could not run.
    """
    tree, settings, submit = _read(layout)
    folder, names = layout.kernel / "bundle", [*runs.names(tree), ENSEMBLE]
    described = bundle.make(folder, layout.root, tree, settings, submit.slug(tree.get("download")), names)
    size = (folder / bundle.NOTEBOOK).stat().st_size
    say(f"{folder / bundle.NOTEBOOK}: {described['id']}, {size / 1e3:.0f} kB")
    return folder


def dataset(layout: Layout, upload: bool) -> None:
    """Make artifacts/kernel/dataset, wheels and checkpoints for a kernel without internet, and upload it. Raises
    PipelineError if a checkpoint or package cannot be had, or the upload is not whole.
    """
    from pipeline.learners import checkpoints

    tree, settings, submit = _read(layout)
    place = partial(checkpoints.place, store=Layout().checkpoints)  # as it will be on Kaggle
    resolve = partial(checkpoints.resolve, store=layout.checkpoints)
    entries = {name: runs.entry(tree, name) for name in runs.names(tree)}
    folders = kernel_dataset.places(bundle.checkpoints({**tree, "runs": entries}), layout.root, place, resolve)
    kernel_dataset.provide(layout.kernel / "dataset", settings, layout.root, folders, submit.patience, upload)


def push(layout: Layout) -> None:
    """Build, and upload as a new version, which Kaggle runs. Raises PipelineError if Kaggle does not take it whole."""
    folder, (_, settings, submit) = build(layout), _read(layout)
    pushed = kernel.push(folder, bundle.name_of(settings), submit.patience)
    say(f"Version {pushed.version} is on its way: {pushed.url}\nWait with: python -m pipeline kernel status --wait")


def status(layout: Layout, wait: bool, every_s: float, limit_min: float) -> None:
    """Print how the kernel is doing. Raises PipelineError if it failed or was cancelled."""
    _, settings, submit = _read(layout)
    kernel.tell(bundle.name_of(settings), submit.patience, every_s if wait else None, limit_min * 60)


def pull(layout: Layout) -> None:
    """Fetch the kernel's output to artifacts/kernel/output, and to submissions/kernel its submission with what made it.

    Raises PipelineError if the kernel has not ended well, the output is not whole, or the submission is not valid.
    """
    tree, settings, submit = _read(layout)
    output, folder = layout.kernel / "output", layout.submission("kernel")
    run, names = kernel.pull(bundle.name_of(settings), output, submit.patience)
    brought = output / "params.yaml"  # of the version that was pushed
    pushed = params.read(brought) if brought.exists() else tree
    labels = validation.labels_of(output / "sample.csv", pushed.get("prepare"))
    clips = kernel_output.publish(output, run, folder, labels)
    page = f"\n{output / PAGE}: its page, to look at and to listen to" if PAGE in names else ""
    say(f"{output}: {len(names)} files\n{folder / 'submission.csv'}: {clips} clips, valid{page}")


def _read(layout: Layout) -> tuple[dict[str, Any], Kernel, Submit]:
    tree = params.read(layout.params)
    if not isinstance(tree.get("kernel"), dict) or "user" not in tree["kernel"]:
        raise PipelineError(
            "params.yaml has no section kernel with your Kaggle user name. Add at least:\nkernel:\n  user: <name>"
        )
    runs.names(tree)  # refuses the name `kernel`
    return tree, params.section(tree, "kernel", Kernel), params.section(tree, "submit", Submit)
