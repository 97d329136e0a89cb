"""The verbs: `python -m pipeline --help`. One verb a stage, in the order of the flow; dispatch only.

Stages are imported when called: torch and transformers take seconds, which `--help` and `decide` need not wait for.
"""

import ast
import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer
from typer.models import CommandInfo

from pipeline import listening_verbs, modules, processes
from pipeline.errors import PipelineError
from pipeline.jobs import SHARED_FOLDER
from pipeline.layout import Layout
from pipeline.listening_verbs import RunName

processes.set_up()

# The order of --help.
FLOW = (
    *("resolve", "check", "download", "prepare", "encode", "encoder_digest", "train", "predict", "vote"),
    *("pseudo_label", "decide", "ensemble", "score", "report", "watch", "compare", "search", "fleet"),
)
NETWORKS = {"bench", "encode", "predict", "search", "train"}  # the stages where torch computes
PARTS_OF_OTHERS = {"access", "kernel"}  # `kaggle check` and the verbs of `kernel`

FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the quota is used up", errno.EFBIG: "a file may not be so big"}
FORBIDDEN = {errno.EACCES: "no permission", errno.EPERM: "not permitted", errno.EROFS: "the file system is read-only"}

app = typer.Typer(
    help="From a speech competition's archives to scored submissions. `dvc repro` runs the stages in order; "
    "each runs alone too. Parameters: params.yaml.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _stage(name: str, *arguments: object) -> None:
    # torchrun starts each of its processes with this: only these stages share their work out to them, and those that
    # share clips are started by themselves (pipeline.jobs.sharing).
    shares = name == "train" or SHARED_FOLDER in os.environ
    if not shares and os.environ.get("RANK", "0") != "0":
        return
    if name in NETWORKS:
        processes.keep_freed_memory()
    modules.stage(name).main(Layout(), *arguments)


@app.command()
def train(
    run: RunName, fold: Annotated[int, typer.Argument(help="Its speakers judge; the others' train.", min=0)] = 0
) -> None:
    """Fit one run's model for one fold; resumes after a kill."""
    _stage("train", run, fold)


@app.command()
def predict(run: RunName) -> None:
    """Write one run's probabilities: out of fold for the training archive, the mean over folds for the test clips."""
    _stage("predict", run)


@app.command()
def search(
    run: RunName,
    trials: Annotated[int, typer.Option(help="Trials in all, those of earlier calls included.", min=1)] = 20,
    all_folds: Annotated[bool, typer.Option("--all-folds", help="On all of `folds`, not on the first alone.")] = False,
) -> None:
    """Try values from the ranges that a run names under `search`; resumes after a kill."""
    _stage("search", run, trials, all_folds)


@app.command()
def vote(second: Annotated[str | None, typer.Argument(help="A second student: students vote too.")] = None) -> None:
    """Let the teachers vote on the test clips, for students to learn from."""
    _stage("vote", second)


@app.command("pseudo_label")
def pseudo_label(run: RunName) -> None:
    """Turn the vote of a student's teachers on the test clips into soft labels for it."""
    _stage("pseudo_label", run)


@app.command()
def decide(run: RunName) -> None:
    """Turn one run's probabilities into a submission, metrics and a confusion matrix."""
    _stage("decide", run)


@app.command()
def fleet(
    address: Annotated[
        str | None, typer.Option(help="Of the Ray cluster: HOST:PORT, auto, or local. By default fleet.address.")
    ] = None,
) -> None:
    """Hand trainings and predictions that are not up to date to the machines of a Ray cluster."""
    _stage("fleet", address)


@app.command()
def compare(
    into: Annotated[Path | None, typer.Option(help="A file to put the table into, between its marks.")] = None,
    against: Annotated[str | None, typer.Option(metavar="RUN", help="Add each run's paired difference to it.")] = None,
) -> None:
    """Set all runs side by side: cost, accuracy with its interval, the authors' figures."""
    _stage("compare", into, against)


@app.command()
def prune(remove: Annotated[bool, typer.Option("--remove", help="Delete it.")] = False) -> None:
    """List what runs left that are listed no more: unfinished trainings, times, files under a local score."""
    _stage("prune", remove)


@app.command()
def report(
    then_open: Annotated[bool, typer.Option("--open", help="Then show it in the browser.")] = False,
) -> None:
    """Write one page to look at and to listen to: report/index.html, complete in one file."""
    _stage("report", then_open)


@app.command()
def watch(
    port: Annotated[int, typer.Option(help="Of this machine alone; 0 takes a free one.", min=0, max=65535)] = 8765,
    then_open: Annotated[bool, typer.Option("--open", help="Then show it in the browser.")] = False,
) -> None:
    """Show the same page while training goes on, on 127.0.0.1: curves, time left, the machine's load."""
    _stage("watch", port, then_open)


@app.command()
def bench(
    archives: Annotated[Path | None, typer.Option(help="A folder with train.7z and test.7z.")] = None,
    rounds: Annotated[int, typer.Option(help="How often each pair is timed.", min=1)] = 3,
    quick: Annotated[bool, typer.Option("--quick", help="Try it out on a tiny demo; docs/bench.md stays.")] = False,
    spotter: Annotated[Path | None, typer.Option(help="Another's keyword spotter to time.", metavar="F.onnx")] = None,
) -> None:
    """Measure the pipeline against its peers and limits on this machine, in one table."""
    _stage("bench", archives, rounds, quick, spotter)


@app.command()
def validate(
    file: Annotated[Path, typer.Argument(help="A submission file.", metavar="FILE")],
    sample: Annotated[
        Path | None, typer.Option(help="The sample submission (CSV, .zip, .7z); by default the corpus's.")
    ] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Repair in a copy what is certain.")] = False,
) -> None:
    """Check a submission file line by line, as Kaggle would."""
    _stage("validate", file, sample, fix)


@app.command()
def submit(
    target: Annotated[str, typer.Argument(help="A run's name, or a submission file.", metavar="RUN|FILE")],
    message: Annotated[str, typer.Option(help="For Kaggle's list, beside run and validation accuracy.")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Until it is scored.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Even if Kaggle may have the file, or all its labels are the same.")
    ] = False,
    sample: Annotated[
        Path | None, typer.Option(help="The sample submission (CSV, .zip, .7z); by default the corpus's.")
    ] = None,
) -> None:
    """Submit a run's file, or one made elsewhere, to Kaggle, once; record its score."""
    _stage("submit", target, message, wait, force, sample)


@app.command()
def submissions(
    how: Annotated[
        Literal["table", "text", "csv", "json", "md"] | None,
        typer.Option("--format", help="By default a table on a terminal, else text: columns separated by tabs."),
    ] = None,
    sort: Annotated[
        Literal["time", "run", "validation", "local", "public", "private", "rank", "status"],
        typer.Option(help="By time the newest last, by a score the best first."),
    ] = "time",
    limit: Annotated[int | None, typer.Option(help="Only so many, the newest or best.", min=1)] = None,
) -> None:
    """Show all submissions with scores and ranks."""
    _stage("submissions", how, sort, limit)


kaggle = typer.Typer(help="The account at Kaggle.", no_args_is_help=True)
app.add_typer(kaggle, name="kaggle")


@kaggle.command("check")
def kaggle_check() -> None:
    """Check credentials, rules, and the submissions left today."""
    _stage("access")


kernel = typer.Typer(help="Run the project as a notebook on Kaggle; section `kernel`.", no_args_is_help=True)
app.add_typer(kernel, name="kernel")


def _kernel(verb: str, *arguments: object) -> None:
    getattr(modules.stage("kernel"), verb)(Layout(), *arguments)


@kernel.command("build")
def kernel_build() -> None:
    """Pack the project into one notebook."""
    _kernel("build")


@kernel.command("dataset")
def kernel_dataset(
    upload: Annotated[bool, typer.Option(help="Upload it to Kaggle, or only make the folder.")] = True,
) -> None:
    """Make the dataset for a kernel without internet: packages and checkpoints."""
    _kernel("dataset", upload)


@kernel.command("push")
def kernel_push() -> None:
    """Build it and send it to Kaggle, which runs it."""
    _kernel("push")


@kernel.command("status")
def kernel_status(
    wait: Annotated[bool, typer.Option("--wait", help="Until it has ended.")] = False,
    every_s: Annotated[float, typer.Option(help="Seconds between two questions.", min=0.1)] = 30,
    limit_min: Annotated[float, typer.Option(help="Minutes after which to stop waiting.", min=0)] = 720,
) -> None:
    """Say how it is doing; exit status 1 if it failed."""
    _kernel("status", wait, every_s, limit_min)


@kernel.command("pull")
def kernel_pull() -> None:
    """Fetch its output, and its submission to submissions/kernel."""
    _kernel("pull")


app.registered_commands += listening_verbs.app.registered_commands


def _add_other_stages() -> None:
    """Make a verb of each stage module that has none above and whose `main` takes the layout alone.

    They are read, not imported, so that `--help` does not wait for what they import.
    """
    known = {_name_of(command) for command in app.registered_commands}
    for path in sorted(Path(__file__).with_name("stages").glob("[!_]*.py")):
        if path.stem not in known | PARTS_OF_OTHERS:
            module = ast.parse(path.read_bytes(), path)
            mains = [node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == "main"]
            if mains and [argument.arg for argument in mains[0].args.args] == ["layout"]:
                summary = (ast.get_docstring(module) or "").removeprefix(f"{path.stem}: ")
                app.command(path.stem, help=summary[:1].upper() + summary[1:])(_verb(path.stem))


def _name_of(command: CommandInfo) -> str:
    return command.name or str(getattr(command.callback, "__name__", ""))


def _verb(stage: str) -> Callable[[], None]:
    return lambda: _stage(stage)


_add_other_stages()
app.registered_commands.sort(key=lambda command: FLOW.index(name) if (name := _name_of(command)) in FLOW else len(FLOW))


def main() -> None:
    try:
        app()
    except PipelineError as error:
        from pipeline.delivery.masking import masked

        sys.exit(f"error: {masked(str(error))}")
    except OSError as error:
        if error.errno in FORBIDDEN:
            sys.exit(
                f"error: {FORBIDDEN[error.errno].capitalize()}: {error.filename or error}\nAllow it, and run it again."
            )
        if error.errno not in FULL:
            raise
        sys.exit(
            f"error: Cannot write: {FULL[error.errno]}. It was: {error}\n"
            "Make room (`dvc gc -w` deletes the outputs of former runs) and run it again; what is finished is kept."
        )


if __name__ == "__main__":
    main()
