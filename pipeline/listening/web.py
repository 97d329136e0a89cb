"""A page on 127.0.0.1 where the browser's microphone, or a file, is heard by several nets at once. Needs gradio."""

import html
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.clips.waveform import SAMPLE_RATE_HZ
from pipeline.errors import PipelineError
from pipeline.listening.ear import Ear
from pipeline.listening.spotting import Detection, Spotter, Spotting
from pipeline.listening.windows import AFTER, BEFORE, RATES_HZ, Resampler

ADDRESS = "127.0.0.1"
EVERY_S = 0.3  # from one block of the browser's microphone to the next
SHOWN = 6  # the last words


class Named(Protocol):
    """What listens: `jobs.listening.Listener`."""

    run: str
    keywords: list[str]
    engine: str

    def new_ear(self) -> Ear: ...


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


class Page:
    """All listeners over one stream of sound, from its first sample to its last."""

    def __init__(self, listeners: Sequence[Named], spotting: Spotting, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self._resampler = Resampler(rate_hz)
        self.hearings = []
        for each in listeners:
            ear = each.new_ear()
            spotter = Spotter(ear.labels, each.keywords, ear.hop_samples / SAMPLE_RATE_HZ, spotting)
            self.hearings.append(Hearing(f"{each.run} ({each.engine})", ear, spotter))
        self._push(BEFORE)

    def push(self, samples: NDArray[Any], is_last: bool = False) -> None:
        """Take a block as gradio gives it, [frames] or [frames, channels], whole numbers or floats in -1..1."""
        block = np.asarray(samples)
        scale = np.iinfo(block.dtype).max if np.issubdtype(block.dtype, np.integer) else 1
        block = np.nan_to_num(block.astype(np.float32) / np.float32(scale))
        self._push(self._resampler.push(block.reshape(len(block), -1), is_last))
        if is_last:
            self._push(AFTER)

    def _push(self, samples: NDArray[np.int16]) -> None:
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


def page(listeners: Sequence[Named], spotting: Spotting) -> Any:
    """Return the page, a `gradio.Blocks`. Raises PipelineError without gradio."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    try:
        import gradio
    except ImportError:
        raise PipelineError(
            "The page needs gradio, which is not installed: pip install -r requirements-web.txt\n"
            "The terminal needs nothing more: python -m pipeline listen FILE.wav"
        ) from None

    def live(sound: tuple[int, NDArray[Any]] | None, heard: Page | None) -> tuple[str, Page | None]:
        if sound is None or sound[0] not in RATES_HZ:
            return "", None
        if heard is None or heard.rate_hz != sound[0]:
            heard = Page(listeners, spotting, sound[0])
        heard.push(sound[1])
        return heard.table(), heard

    def whole(sound: tuple[int, NDArray[Any]] | None) -> str:
        if sound is None or sound[0] not in RATES_HZ:
            return ""
        heard = Page(listeners, spotting, sound[0])
        heard.push(sound[1], is_last=True)
        return heard.table()

    with gradio.Blocks(title="What is heard", analytics_enabled=False) as blocks:
        gradio.Markdown(f"Words that the runs listen for: {', '.join(listeners[0].keywords)}.")
        with gradio.Tab("Microphone"):
            heard = gradio.State(None)
            microphone = gradio.Audio(sources=["microphone"], streaming=True, label="Speak")
            shown = gradio.HTML()
            microphone.stream(live, [microphone, heard], [shown, heard], stream_every=EVERY_S, concurrency_limit=1)
            microphone.start_recording(lambda: None, None, heard)
        with gradio.Tab("File"):
            file = gradio.Audio(sources=["upload"], label="Drop a recording")
            said = gradio.HTML()
            file.change(whole, file, said)
    return blocks


def serve(listeners: Sequence[Named], spotting: Spotting, port: int) -> None:
    """Serve the page on 127.0.0.1 until Ctrl-C. Raises PipelineError without gradio, or if the port is taken."""
    built = page(listeners, spotting)
    try:
        built.launch(server_name=ADDRESS, server_port=port or None, share=False, quiet=True, prevent_thread_lock=True)
    except (OSError, ValueError) as error:  # the port is taken; gradio could not reach its own page
        raise PipelineError(f"The page cannot be opened on {ADDRESS}:{port}: {error} Take another --port.") from None
    print(f"Listening page: {built.local_url} (Ctrl-C ends it)", flush=True)
    built.block_thread()
