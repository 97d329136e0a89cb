"""A page on 127.0.0.1 where the browser's microphone, or a file, is heard by several nets at once. Needs gradio."""

import html
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.clips.waveform import SAMPLE_RATE_HZ
from pipeline.errors import PipelineError
from pipeline.listening.ear import Ear
from pipeline.listening.spotting import Detection, Spotter, Spotting
from pipeline.listening.windows import BEFORE, RATES_HZ, Resampler, blocks, open_audio

ADDRESS = "127.0.0.1"
EVERY_S = 0.3  # from one block of the browser's microphone to the next
SHOWN = 6  # the last words


class Listens(Protocol):
    """What listens: `jobs.listening.Listener`."""

    @property
    def run(self) -> str: ...

    @property
    def keywords(self) -> list[str]: ...

    @property
    def engine(self) -> str: ...

    @property
    def new_ear(self) -> Callable[[], Ear]: ...


@dataclass
class Hearing:
    """One listener on one page: what it has heard so far."""

    name: str
    ear: Ear
    spotter: Spotter
    now: tuple[str, float] = ("", 0.0)
    said: list[Detection] = field(default_factory=list)

    def push(self, samples: NDArray[np.int16]) -> None:
        values = self.ear.hear(samples)
        self.said += self.spotter.push(values)
        if len(values):
            best = int(values[-1].argmax())
            self.now = (self.ear.labels[best], float(values[-1, best]))


class Heard:
    """All listeners over one sound, from its first sample on."""

    def __init__(self, listeners: Sequence[Listens], spotting: Spotting) -> None:
        self.hearings = []
        for each in listeners:
            ear = each.new_ear()
            spotter = Spotter(ear.labels, each.keywords, ear.hop_samples / SAMPLE_RATE_HZ, spotting)
            self.hearings.append(Hearing(_name_of(each), ear, spotter))

    def push(self, samples: NDArray[np.int16]) -> None:
        """Take a block, int16 [samples] at 16 kHz."""
        for hearing in self.hearings:
            hearing.push(samples)

    def table(self) -> str:
        """Return what each listener hears now and has heard last, as HTML."""
        rows = []
        for each in self.hearings:
            said = ", ".join(f"{one.label} at {one.time_s:.1f} s" for one in each.said[-SHOWN:][::-1])
            cells = [each.name, each.now[0], f"{each.now[1]:.2f}", said]
            rows.append("".join(f"<td>{html.escape(cell)}</td>" for cell in cells))
        head = "".join(f"<th>{title}</th>" for title in ("run", "now", "probability", "said, last first"))
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        return f'<table id="heard"><tr>{head}</tr>{body}</table>'


class Live(Heard):
    """All listeners over the browser's microphone."""

    def __init__(self, listeners: Sequence[Listens], spotting: Spotting, rate_hz: int) -> None:
        super().__init__(listeners, spotting)
        self.rate_hz = rate_hz
        self._resampler = Resampler(rate_hz)
        self.push(BEFORE)

    def take(self, samples: NDArray[Any]) -> None:
        """Take a block as gradio gives it, [frames] or [frames, channels], whole numbers or floats in -1..1."""
        block = np.asarray(samples)
        if not len(block):
            return
        scale = np.iinfo(block.dtype).max if np.issubdtype(block.dtype, np.integer) else 1
        block = np.nan_to_num(block.astype(np.float32) / np.float32(scale))
        self.push(self._resampler.push(block.reshape(len(block), -1)))


def heard_file(listeners: Sequence[Listens], spotting: Spotting, path: Path) -> Heard:
    """Return what is heard in a file, read as `listen FILE` reads it. Raises PipelineError as `windows.open_audio`."""
    heard = Heard(listeners, spotting)
    with open_audio(path) as audio:
        for block in blocks(audio):
            heard.push(block)
    return heard


def _name_of(listener: Listens) -> str:
    return f"{listener.run} ({listener.engine})"


def heading(listeners: Sequence[Listens]) -> str:
    """Return which words are listened for, and by whom where not all listen for the same."""
    names: dict[str, list[str]] = {}
    for each in listeners:
        names.setdefault(", ".join(each.keywords), []).append(_name_of(each))
    if len(names) == 1:
        return f"Words that the runs listen for: {next(iter(names))}."
    return "Words that are listened for:\n\n" + "\n".join(
        f"- by {', '.join(of)}: {words}" for words, of in names.items()
    )


def page(listeners: Sequence[Listens], spotting: Spotting) -> Any:
    """Return the page, a `gradio.Blocks`. Raises PipelineError without gradio."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    try:
        import gradio
    except ImportError:
        raise PipelineError(
            "The page needs gradio, which is not installed: pip install -r requirements-web.txt\n"
            "The terminal needs nothing more: python -m pipeline listen FILE.wav"
        ) from None

    def live(sound: tuple[int, NDArray[Any]] | None, heard: Live | None) -> tuple[str, Live | None]:
        if sound is None or sound[0] not in RATES_HZ:
            return "", None
        if heard is None or heard.rate_hz != sound[0]:
            heard = Live(listeners, spotting, sound[0])
        heard.take(sound[1])
        return heard.table(), heard

    def whole(path: str | None) -> str:
        if path is None:
            return ""
        try:
            return heard_file(listeners, spotting, Path(path)).table()
        except PipelineError as error:
            raise gradio.Error(str(error).replace(path, Path(path).name)) from None

    # What gradio keeps of the sound is deleted while the page goes on; `serve` deletes the rest.
    with gradio.Blocks(title="What is heard", analytics_enabled=False, delete_cache=(60, 60)) as built:
        gradio.Markdown(heading(listeners))
        with gradio.Tab("Microphone"):
            heard = gradio.State(None)
            microphone = gradio.Audio(sources=["microphone"], streaming=True, label="Speak")
            shown = gradio.HTML()
            microphone.stream(live, [microphone, heard], [shown, heard], stream_every=EVERY_S, concurrency_limit=1)
            microphone.start_recording(lambda: None, None, heard)
        with gradio.Tab("File"):
            file = gradio.Audio(sources=["upload"], type="filepath", label="Drop a recording")
            said = gradio.HTML()
            file.change(whole, file, said)
    return built


def serve(listeners: Sequence[Listens], spotting: Spotting, port: int) -> None:
    """Serve the page on 127.0.0.1 until Ctrl-C, SIGTERM or SIGHUP; no sound of it stays on the disk.

    Raises PipelineError without gradio, or if the port is taken.
    """
    with _ended_by_signals(), TemporaryDirectory(prefix="listening-page-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder  # where gradio keeps each block of the microphone, and what is dropped
        built = page(listeners, spotting)
        try:
            built.launch(
                server_name=ADDRESS, server_port=port or None, share=False, quiet=True, prevent_thread_lock=True
            )
        except OSError:  # gradio tells only of its own settings
            raise PipelineError(f"The port {port} of {ADDRESS} is taken. Take another --port.") from None
        except ValueError as error:  # gradio could not reach its own page
            raise PipelineError(f"The page cannot be opened on {ADDRESS}:{port}: {error}") from None
        with suppress(KeyboardInterrupt):  # from the first word on, not only once gradio waits for it
            print(f"Listening page: {built.local_url} (Ctrl-C ends it)", flush=True)
            built.block_thread()
        built.close(verbose=False)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Make the signals that ask a process to end do what Ctrl-C does, so that what was begun is put in order."""

    def end(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    asked = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    # One that is ignored, as nohup has SIGHUP, stays so.
    before = {each: signal.signal(each, end) for each in asked if signal.getsignal(each) != signal.SIG_IGN}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
