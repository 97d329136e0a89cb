"""The verbs that listen: gate, export, listen. `pipeline.__main__` offers them with all others."""

from pathlib import Path
from typing import Annotated, TypeVar

import typer
from pydantic import ValidationError

from pipeline import modules
from pipeline.errors import PipelineError
from pipeline.layout import Layout
from pipeline.settings import Settings

RunName = Annotated[str, typer.Argument(help="A run's name, as listed under 'runs' in params.yaml.", metavar="RUN")]

S = TypeVar("S", bound=Settings)

app = typer.Typer()


@app.command()
def gate(
    source: Annotated[Path, typer.Argument(help="A recording.", metavar="IN.WAV")],
    target: Annotated[Path, typer.Argument(help="Where to write it, gated.", metavar="OUT.WAV")],
    keep: Annotated[str, typer.Option(help="A label of the run, or several: yes,no. Of words, speech is any.")],
    run: Annotated[str | None, typer.Option(help="By default the first trained run that knows the label.")] = None,
    threshold: Annotated[float, typer.Option(help="Probability that opens it.", min=0.001, max=1)] = 0.5,
    attack_ms: Annotated[float, typer.Option(help="From closed to open.", min=0)] = 10,
    hold_ms: Annotated[float, typer.Option(help="Still open after the last that was heard.", min=0)] = 200,
    release_ms: Annotated[float, typer.Option(help="From open to closed.", min=0)] = 150,
    range_db: Annotated[float, typer.Option(help="Gain when closed.", max=0)] = -60,
    lookahead_ms: Annotated[float, typer.Option(help="Open this long before the first.", min=0)] = 200,
    hop_ms: Annotated[int, typer.Option(help="From one second heard to the next.", min=10, max=1000)] = 100,
) -> None:
    """Keep what a trained run hears in a recording, and turn down the rest."""
    from pipeline.listening.gate import Gate

    settings = _of_options(
        Gate,
        threshold=threshold,
        attack_ms=attack_ms,
        hold_ms=hold_ms,
        release_ms=release_ms,
        range_db=range_db,
        lookahead_ms=lookahead_ms,
    )
    modules.stage("gate").main(Layout(), source, target, keep, run, settings, hop_ms)


@app.command()
def export(
    run: RunName,
    int8: Annotated[bool, typer.Option("--int8", help="A second file of each with weights of 8 bits.")] = False,
    streaming: Annotated[bool, typer.Option("--streaming", help="Another that hears 40 or 100 ms at a time.")] = False,
    fold: Annotated[int | None, typer.Option(help="By default the first that is trained.", min=0)] = None,
) -> None:
    """Write a trained run as one ONNX file for small devices, and measure it."""
    modules.stage("export").main(Layout(), run, int8, streaming, fold)


@app.command()
def listen(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(help="A recording; without one, the microphone.", metavar="[FILE.WAV]")
    ] = None,
    device: Annotated[int | None, typer.Option(help="The microphone's number; by default the system's own.")] = None,
    run: Annotated[str | None, typer.Option(help="By default the first run that can hear.")] = None,
    model: Annotated[Path | None, typer.Option(help="An exported file in place of a run.", metavar="FILE.onnx")] = None,
    threshold: Annotated[
        float, typer.Option(help="Probability that makes a word; --measure tries all.", min=0.001, max=1)
    ] = 0.7,
    smoothing_ms: Annotated[
        float, typer.Option(help="The probability is averaged over this.", min=0, max=10_000)
    ] = 300,
    refractory_ms: Annotated[float, typer.Option(help="After a word, none for so long.", min=0)] = 1000,
    hop_ms: Annotated[
        int, typer.Option(help="From one second heard to the next; a streaming net has its own.", min=10, max=1000)
    ] = 100,
    measure: Annotated[bool, typer.Option("--measure", help="Count words found and false alarms in noise.")] = False,
    hours: Annotated[float, typer.Option(help="Of noise, with --measure.", min=0.01)] = 1,
    web: Annotated[bool, typer.Option("--web", help="A page on 127.0.0.1 with all exported runs.")] = False,
    port: Annotated[int, typer.Option(help="Of the page.", min=0, max=65535)] = 7860,
) -> None:
    """Say what a run hears in a recording or through the microphone."""
    from pipeline.listening.spotting import Spotting

    if web:
        _refuse(context, "--web, a page where all exported runs hear", "file device run model measure hours")
    elif measure:
        _refuse(context, "--measure, which hears clips in noise", "file device port")
    else:
        _refuse(context, "listening without --web and --measure", "port hours")
    if file is not None:
        _refuse(context, "FILE, which is heard in place of a microphone", "device")
    if model is not None:
        _refuse(context, "--model, which hears in place of a run", "run")
    spotting = _of_options(Spotting, threshold=threshold, smoothing_ms=smoothing_ms, refractory_ms=refractory_ms)
    stage = modules.stage("listen")
    if web:
        stage.serve(Layout(), spotting, hop_ms, port)
    elif measure:
        stage.measure(Layout(), run, model, spotting, hop_ms, hours)
    else:
        stage.main(Layout(), file, device, run, model, spotting, hop_ms)


def _refuse(context: typer.Context, way: str, names: str) -> None:
    """Raise PipelineError if any of the options `names` was given: what was asked for, `way`, has no use for it."""
    given = [name for name in names.split() if getattr(context.get_parameter_source(name), "name", "") != "DEFAULT"]
    if given:
        shown = ", ".join("FILE" if name == "file" else f"--{name}" for name in given)
        raise PipelineError(f"{shown} cannot be given with {way}. Leave out the one or the other.")


def _of_options(kind: type[S], **options: float) -> S:
    """Return the settings of a verb. Raises PipelineError for a value that typer lets pass, such as inf."""
    try:
        return kind(**options)
    except ValidationError as error:
        first = error.errors()[0]
        name = f"--{str(first['loc'][0]).replace('_', '-')}"
        raise PipelineError(f"{name}: {first['msg']}; found {first['input']}.") from None
