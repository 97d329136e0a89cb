"""What is heard, on the terminal while it is heard: a line for each word, and a meter of what is likeliest now."""

import time
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.live import Live
from rich.text import Text

from pipeline.clips.waveform import SAMPLE_RATE_HZ
from pipeline.listening.ear import Ear
from pipeline.listening.spotting import Detection, Spotter
from pipeline.listening.windows import BEFORE

METER_CELLS = 30

Blocks = Iterable[NDArray[np.int16]]  # from `windows.blocks` or `microphone.blocks`


@dataclass
class Session:
    """What was heard in how long; `busy_s` is what the ear itself took."""

    heard_s: float = 0.0
    busy_s: float = 0.0
    detections: list[Detection] = field(default_factory=list)

    @property
    def real_time_factor(self) -> float:
        return self.busy_s / self.heard_s if self.heard_s else 0.0


def listen(blocks: Blocks, ear: Ear, spotter: Spotter, console: Console, after: int = 0) -> Session:
    """Print each detection when it is known, and return what was heard; Ctrl-C ends it as the end of the sound does.

    `after` is how many samples of silence end the blocks, which are not in the recording.
    """
    session = Session()
    samples = -len(BEFORE)
    meter = Live(console=console, transient=True, auto_refresh=False) if console.is_terminal else nullcontext()
    try:
        with meter:
            for block in blocks:
                start = time.perf_counter()
                values = ear.hear(block)
                found = spotter.push(values)
                session.busy_s += time.perf_counter() - start
                samples += len(block)
                session.heard_s = samples / SAMPLE_RATE_HZ
                session.detections += found
                for each in found:
                    line = f"{each.time_s:9.2f} s  {each.label:<12} {each.probability:.2f}"
                    console.print(line, highlight=False, markup=False, emoji=False)
                if isinstance(meter, Live) and len(values):
                    meter.update(_meter(ear, values[-1], session.heard_s), refresh=True)
        session.heard_s = (samples - after) / SAMPLE_RATE_HZ
    except KeyboardInterrupt:
        pass
    return session


def _meter(ear: Ear, values: NDArray[np.float32], at_s: float) -> Any:
    best = int(values.argmax())
    cells = round(float(values[best]) * METER_CELLS)
    bar = "█" * cells + "·" * (METER_CELLS - cells)
    return Text(f"{at_s:9.2f} s  {ear.labels[best]:<12} {bar} {values[best]:.2f}", style="dim")
