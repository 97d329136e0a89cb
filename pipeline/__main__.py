"""The verbs: `python -m pipeline --help`. One verb a stage, in the order of the flow; dispatch only.

Stages are imported when called: torch and transformers take seconds, which `--help` and `decide` need not wait for.
"""

import importlib
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import PipelineError
from pipeline.layout import Layout

# Read when torch is loaded. Threads that wait at a barrier sleep instead of spinning: on a machine with anything else
# to do, two spinning threads trained at a third to a tenth of the speed of two sleeping ones.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

app = typer.Typer(
    help="From a speech competition's archives to scored submissions. `dvc repro` runs the stages in order; "
    "each runs alone too. Parameters: params.yaml.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

RunName = Annotated[str, typer.Argument(help="A run's name, as listed under 'runs' in params.yaml.", metavar="RUN")]


def _stage(name: str, *arguments: object) -> None:
    importlib.import_module(f"pipeline.stages.{name}").main(Layout(), *arguments)


@app.command()
def check() -> None:
    """Check that every run can be built; fetch the checkpoints that it needs."""
    _stage("check")


@app.command()
def download() -> None:
    """Fetch the source's files, or make the demo's, and list them in a manifest."""
    _stage("download")


@app.command()
def prepare() -> None:
    """Decode every clip once into the corpus; splits, silence, quarantine list."""
    _stage("prepare")


@app.command()
def train(run: RunName) -> None:
    """Fit one run's model; resumes after a kill."""
    _stage("train", run)


@app.command()
def predict(run: RunName) -> None:
    """Write one run's probabilities of the validation and test clips."""
    _stage("predict", run)


@app.command()
def decide(run: RunName) -> None:
    """Turn one run's probabilities into a submission, metrics and a confusion matrix."""
    _stage("decide", run)


@app.command()
def ensemble() -> None:
    """The same for the weighted vote of all runs."""
    _stage("ensemble")


@app.command()
def score() -> None:
    """Score the submissions where the answers are known; write the ledger."""
    _stage("score")


@app.command()
def bench(
    archives: Annotated[Path | None, typer.Option(help="A folder with train.7z and test.7z.")] = None,
    rounds: Annotated[int, typer.Option(help="How often each pair is timed.", min=1)] = 3,
    quick: Annotated[bool, typer.Option("--quick", help="Try it out on a tiny demo.")] = False,
) -> None:
    """Measure the pipeline against its peers and limits on this machine, in one table."""
    _stage("bench", archives, rounds, quick)


def main() -> None:
    try:
        app()
    except PipelineError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
