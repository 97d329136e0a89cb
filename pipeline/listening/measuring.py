"""How well a listener finds words in noise, at how many false alarms an hour: scenes are made, heard and counted."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pipeline.clips.noise import Noise
from pipeline.clips.waveform import SAMPLE_RATE_HZ
from pipeline.listening import scenes
from pipeline.listening.ear import Ear
from pipeline.listening.operating_points import Figure, Heard, Point, at_alarms, curve
from pipeline.listening.progress import Seconds
from pipeline.listening.spotting import Spotting
from pipeline.listening.windows import AFTER, BEFORE

SNRS_DB = (20.0, 10.0, 5.0)
ALARMS_PER_HOUR = (1.0, 5.0)
GAP_S = 2.0  # of noise with each word, at least; at most twice as much

Clips = Callable[[], Iterator[tuple[NDArray[np.int16], str]]]


@dataclass(frozen=True)
class Measured:
    """What was found at one signal-to-noise ratio; `figures` are of as few false alarms as the noise can show."""

    snr_db: float
    words: int
    figures: list[Figure]
    points: list[Point]


def measure(
    new_ear: Callable[[], Ear],
    keywords: Sequence[str],
    clips: Clips,
    speakers: Sequence[str],
    noises: Sequence[Noise],
    spotting: Spotting,
    hours: float,
    seed: int,
) -> list[Measured]:
    """Return detection rates and false alarms of what `new_ear` hears, a Measured for each of SNRS_DB.

    False alarms are counted in `hours` of noise without words. `clips()` yields int16 [16000] and the label, all of
    them keywords, spoken by `speakers` [clips]. Raises PipelineError if no noise lasts a second.
    """
    alarms = _Hearing(new_ear(), keywords, spotting)
    with Seconds(hours * 3600, "noise") as progress:
        for block in scenes.noise_alone(noises, hours, np.random.default_rng([seed, 0])):
            alarms.hear(block)
            progress.hear(len(block))
    alarms.hear(AFTER)
    found = []
    for number, snr_db in enumerate(SNRS_DB, start=1):
        words, placed = _Hearing(new_ear(), keywords, spotting), []
        rng = np.random.default_rng([seed, number])
        for block, word in tqdm(
            scenes.words_in_noise(clips(), noises, snr_db, GAP_S, rng),
            desc=f"{snr_db:g} dB",
            unit=" words",
            file=sys.stderr,
        ):
            words.hear(block)
            placed.append(word)
        words.hear(AFTER)
        points = curve(alarms.heard, words.heard, placed, speakers)
        figures = [at_alarms(points, limit) for limit in ALARMS_PER_HOUR if hours * limit >= 1]
        found.append(Measured(snr_db, len(placed), figures, points))
    return found


class _Hearing:
    """One scene, heard from its beginning; AFTER is its end, as of a recording, so that its last half second counts."""

    def __init__(self, ear: Ear, keywords: Sequence[str], spotting: Spotting) -> None:
        self._ear = ear
        self._columns = [ear.labels.index(keyword) for keyword in keywords]
        self.heard = Heard(keywords, ear.hop_samples / SAMPLE_RATE_HZ, spotting)
        ear.hear(BEFORE)

    def hear(self, block: NDArray[np.int16]) -> None:
        self.heard.push(self._ear.hear(block)[:, self._columns])


def drawn(found: Sequence[Measured], run: str, hours: float) -> Any:
    """Return the curves as a matplotlib Figure: detection rate over false alarms an hour, a line for each ratio."""
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(6, 4), layout="constrained")
    axes = canvas.add_subplot()
    for each in found:
        # One alarm fewer than can be counted stands at the left edge.
        alarms = [max(point.alarms_per_hour, 0.5 / hours) for point in each.points]
        rates = [point.detection_rate for point in each.points]
        axes.step(alarms, rates, where="post", label=f"{each.snr_db:g} dB, {each.words} words")
    for limit in ALARMS_PER_HOUR:
        axes.axvline(limit, color="0.8", linewidth=0.8, zorder=0)
    axes.set(
        xscale="log",
        ylim=(0, 1.02),
        xlabel=f"false alarms an hour of noise ({hours:g} h heard)",
        ylabel="words found",
        title=run,
    )
    axes.legend(loc="lower right", frameon=False)
    return canvas
