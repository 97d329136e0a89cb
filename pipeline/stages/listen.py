"""listen: what a run hears in a recording, or through a microphone, while it hears it. Outside `dvc repro`."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipeline.clips.waveform import SAMPLE_RATE_HZ
from pipeline.files import printable
from pipeline.jobs.listening import Listener, exported_listeners, listener_of, measured
from pipeline.layout import Layout
from pipeline.listening import live, microphone, web, windows
from pipeline.listening.measuring import ALARMS_PER_HOUR
from pipeline.listening.spotting import Spotter, Spotting


def main(
    layout: Layout,
    file: Path | None,
    device: int | None,
    run: str | None,
    model: Path | None,
    spotting: Spotting,
    hop_ms: int = 100,
) -> None:
    """Print each keyword that is heard in `file`, else through the microphone `device`, with its time and probability.

    The exported file `model` hears, else the run `run`, else the first run that can. Raises PipelineError if none
    can, the file is no audio, or there is no microphone.
    """
    console = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
    if file is None:
        _listen(console, "the microphone", microphone.blocks(device), listener_of(layout, run, model, hop_ms), spotting)
        return
    with windows.open_audio(file) as audio:
        listener = listener_of(layout, run, model, hop_ms)
        _listen(console, printable(file), windows.blocks(audio), listener, spotting, len(windows.AFTER))


def measure(layout: Layout, run: str | None, model: Path | None, spotting: Spotting, hop_ms: int, hours: float) -> None:
    """Print and write how often a run finds its keywords in noise, at 1 and at 5 false alarms an hour."""
    listener = listener_of(layout, run, model, hop_ms)
    table = Table("words in noise", "words", *(f"found at {n:g} false alarms an hour" for n in ALARMS_PER_HOUR))
    for each in measured(layout, listener, spotting, hours):
        found = {one.alarms_per_hour: one for one in each.figures}
        cells = [
            f"{one.detection_rate:.3f} ({one.low:.3f}-{one.high:.3f}), threshold {one.threshold:.2f}"
            if (one := found.get(limit))
            else f"needs --hours {1 / limit:g}"
            for limit in ALARMS_PER_HOUR
        ]
        table.add_row(f"{each.snr_db:g} dB", str(each.words), *cells)
    Console().print(table)
    written = layout.listening(listener.run + listener.kind)
    print(f"Run {listener.run} ({listener.engine}); {hours:g} h of noise. See {written}")


def serve(layout: Layout, spotting: Spotting, hop_ms: int, port: int) -> None:
    """Open the page on 127.0.0.1 on which each exported run hears the browser's microphone or a file."""
    web.serve(exported_listeners(layout, hop_ms), spotting, port)


def _listen(
    console: Console,
    name: str,
    blocks: live.Blocks,
    listener: Listener,
    spotting: Spotting,
    after: int = 0,
) -> None:
    ear = listener.new_ear()
    spotter = Spotter(ear.labels, listener.keywords, ear.hop_samples / SAMPLE_RATE_HZ, spotting)
    heard = live.listen(blocks, ear, spotter, console, after)
    words = len(heard.detections)
    console.print(
        f"{name}: {heard.heard_s:.1f} s, {words} word{'s'[: words != 1]}; run {listener.run} ({listener.engine}), "
        f"{heard.real_time_factor:.3f} of real time"
    )
