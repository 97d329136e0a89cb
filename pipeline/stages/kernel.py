"""kernel: the whole project as a notebook on Kaggle: build it, push it, see how it is doing, fetch its submission."""

import shutil
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field

from pipeline import params, runs
from pipeline.clips.labels import COMMANDS, Vocabulary
from pipeline.delivery import bundle, kernel, kernel_dataset
from pipeline.delivery.kaggle_client import Patience
from pipeline.delivery.kernel_session import DATA, RESULTS, SAMPLE, SUBMISSION
from pipeline.errors import PipelineError
from pipeline.files import read_json, replacing_folder
from pipeline.layout import Layout
from pipeline.scoring import submission
from pipeline.scoring.ensemble import NAME as ENSEMBLE
from pipeline.settings import Settings
from pipeline.stages import submit
from pipeline.stages.score import AFTER

TEMPLATE = Path("notebooks") / bundle.NOTEBOOK
NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"


class Params(Settings):
    """The section `kernel` of params.yaml.

    `accelerator` is Kaggle's name of the machine if `gpu` is on (its default, a P100, is too old for newer torch);
    `keep` names packages of Kaggle's image that are good in any version; `python` is the Python of that image, for
    the wheels of `dataset` (OWNER/NAME).
    """

    user: Annotated[str, Field(pattern=NAME)]
    title: str = "Speech commands pipeline"
    slug: str | None = None
    private: bool = True
    gpu: bool = True
    accelerator: str = "NvidiaTeslaT4"
    internet: bool = True
    run: str = ENSEMBLE
    dataset: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9_-]+/[a-z0-9-]{6,50}$")] = None
    keep: tuple[str, ...] = ("torch",)
    python: Annotated[str, Field(pattern=r"^3\.\d+$")] = "3.12"


def build(layout: Layout) -> Path:
    """Write notebook and metadata to artifacts/kernel/bundle and return the folder.

    Raises PipelineError for bad parameters, and for a kernel that could not run.
    """
    tree, settings = _read(layout)
    names = [*runs.names(tree), ENSEMBLE]
    if settings.run not in names:
        raise PipelineError(f"params.yaml: kernel.run is '{settings.run}', which is none of: {', '.join(names)}.")
    if not settings.dataset:
        names = sorted({name for name, _ in _checkpoints(tree)})
        if absent := [name for name in names if not settings.internet or (layout.root / name).is_dir()]:
            raise PipelineError(
                f"The runs need checkpoints that the kernel cannot fetch: {', '.join(absent)}.\n"
                "Set kernel.dataset: <user>/<name> in params.yaml and run: python -m pipeline kernel dataset; "
                "or, for published ones, set kernel.internet: true."
            )
        if not settings.internet:
            print("note: without internet and without kernel.dataset, nothing can be installed on Kaggle.")
    competition = submit.competition_of(tree)
    described = bundle.metadata(
        bundle.name(settings.user, settings.title, settings.slug),
        settings.title,
        competition=competition,
        dataset=settings.dataset,
        private=settings.private,
        accelerator=settings.accelerator if settings.gpu else None,
        internet=settings.internet,
    )
    made = bundle.notebook(
        layout.root / TEMPLATE,
        bundle.collect(layout.root, yaml.safe_dump(on_kaggle(tree), sort_keys=False, allow_unicode=True)),
        {
            "competition": competition,
            "run": settings.run,
            "internet": settings.internet,
            "keep": settings.keep,
            "dataset": settings.dataset,
        },
    )
    bundle.write(layout.kernel / "bundle", made, described)
    size = (layout.kernel / "bundle" / bundle.NOTEBOOK).stat().st_size
    print(f"{layout.kernel / 'bundle' / bundle.NOTEBOOK}: {described['id']}, {size / 1e3:.0f} kB")
    return layout.kernel / "bundle"


def on_kaggle(tree: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of the flow with the competition's mounted files as their source."""
    kept = {key: value for key, value in tree.items() if key not in AFTER - {"ensemble", "score", "report"}}
    return kept | {"download": {"source": "archives", "folder": DATA}}


def dataset(layout: Layout, upload: bool) -> None:
    """Make artifacts/kernel/dataset, wheels and checkpoints for a kernel without internet, and upload it.

    Raises PipelineError if a checkpoint or package cannot be had, or the upload is not whole.
    """
    from pipeline.learners import checkpoints

    tree, settings = _read(layout)
    if settings.dataset is None:
        raise PipelineError(
            "params.yaml, section kernel: name the dataset to make, dataset: <user>/<name>, the name of 6 to 50 small "
            "letters, digits and dashes."
        )
    folders = {}
    for name, revision in sorted(_checkpoints(tree), key=str):
        if Path(name).expanduser().is_absolute() or ".." in Path(name).parts:
            raise PipelineError(f"The checkpoint {name} lies outside the project; Kaggle cannot have it in that place.")
        # The place where a run looks for it on Kaggle.
        own = (layout.root / name).is_dir()
        place = Path(name) if own else checkpoints.place(name, revision, Layout().checkpoints)
        folders[place.as_posix()] = checkpoints.resolve(
            str(layout.root / name) if own else name, revision, layout.checkpoints
        )
    folder = layout.kernel / "dataset"
    print(f"Fetching the wheels for Python {settings.python}; this takes minutes ...", flush=True)
    names = kernel_dataset.make(
        folder, settings.dataset, layout.root / "requirements.txt", settings.keep, settings.python, folders
    )
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{folder}: {len(names)} files, {size / 1e6:.0f} MB")
    if upload:
        print("Uploading ...", flush=True)
        print(f"The dataset is ready: {kernel_dataset.upload(folder, _patience(layout))}")


def push(layout: Layout) -> None:
    """Build, and upload as a new version, which Kaggle runs. Raises PipelineError if Kaggle does not take it whole."""
    folder = build(layout)
    pushed = kernel.push(folder, _name(layout), _patience(layout))
    print(f"Version {pushed.version} is on its way: {pushed.url}\nWait with: python -m pipeline kernel status --wait")


def status(layout: Layout, wait: bool, every_s: float, limit_min: float) -> None:
    """Print how the kernel is doing. Raises PipelineError if it failed or was cancelled."""
    name, patience = _name(layout), _patience(layout)
    if wait:
        state = kernel.wait(
            name, patience, every_s, limit_min * 60, lambda state: print(f"{name}: {state.name}", flush=True)
        )
    else:
        state = kernel.status(name, patience)
    if state.name in kernel.FAILED:
        raise PipelineError(kernel.explained(state, name))
    print(kernel.explained(state, name))


def pull(layout: Layout) -> None:
    """Fetch the kernel's output to artifacts/kernel/output, and its valid submission to submissions/kernel.

    There lie beside it the sample that it was held against, and metrics and confusion matrix of its run. Raises
    PipelineError if the kernel has not ended well, the output is not whole, or the submission is not valid.
    """
    tree, _ = _read(layout)
    output = layout.kernel / "output"
    names = kernel.pull(_name(layout), output, _patience(layout))
    commands = (tree.get("prepare") or {}).get("commands", COMMANDS)
    labels = Vocabulary(tuple(commands), tuple(commands)).submission_labels
    rows = submission.check(output / SUBMISSION, submission.read_sample(output / SAMPLE), labels)
    of_run = output / "runs" / read_json(output / RESULTS)["run"]
    folder = layout.submission("kernel")
    with replacing_folder(folder) as temporary:
        for path in (*of_run.glob("*"), output / SUBMISSION, output / SAMPLE):
            shutil.copyfile(path, temporary / path.name)
    print(f"{output}: {len(names)} files\n{folder / SUBMISSION}: {len(rows)} clips, valid")


def _read(layout: Layout) -> tuple[dict[str, Any], Params]:
    tree = params.read(layout.params)
    if not isinstance(tree.get("kernel"), dict) or "user" not in tree["kernel"]:
        raise PipelineError(
            "params.yaml has no section kernel with your Kaggle user name. Add at least:\nkernel:\n  user: <name>"
        )
    if "kernel" in runs.names(tree):
        raise PipelineError("params.yaml: a run cannot be called 'kernel', since that is what `kernel pull` fetches.")
    return tree, params.section(tree, "kernel", Params)


def _name(layout: Layout) -> str:
    """Return USER/SLUG."""
    _, settings = _read(layout)
    return bundle.name(settings.user, settings.title, settings.slug)


def _patience(layout: Layout) -> Patience:
    return submit.settings_of(params.read(layout.params)).patience


def _checkpoints(values: Any) -> set[tuple[str, str | None]]:
    """Return every (checkpoint, revision) that the parameters name, wherever they do."""
    if not isinstance(values, dict):
        return set()
    found = {(str(values["checkpoint"]), values.get("revision"))} if values.get("checkpoint") else set()
    return found.union(*(_checkpoints(value) for value in values.values()))
