"""Background recordings, cut so that the noise which judges a model never trains it."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow

from pipeline.clips.waveform import CLIP_SAMPLES, SAMPLE_RATE_HZ

TRAIN_SHARE = 0.8  # of a recording, where there is one fold
# Noise stays alike over some tenths of a second; the gap keeps two stretches from sharing a sound.
GAP_SAMPLES = SAMPLE_RATE_HZ // 4
MIXED = "\n"  # between the names of recordings that are mixed: a file may be called fan+tv.wav
NEVER_JUDGED = -1  # in place of a fold's number: what always trains


@dataclass(frozen=True)
class Noise:
    """A stretch of a background recording: int16 [samples], 16 kHz mono."""

    name: str
    samples: np.ndarray


def is_cut(noise: Noise, folds: int) -> bool:
    """Return whether a recording is long enough to give each fold a second of its own, and training one and a quarter.

    With one fold that is 2.5 s.
    """
    parts = max(2, folds)
    return len(noise.samples) >= parts * CLIP_SAMPLES + (parts - 1) * GAP_SAMPLES + (GAP_SAMPLES if folds == 1 else 0)


def cut(noise: Noise, position: int, folds: int = 1, whole: bool = False) -> list[tuple[int, Noise]]:
    """Return the stretches of a recording with the fold that each of them judges; they share no sample.

    One fold: the first 80 % train (`NEVER_JUDGED`); after a gap of 0.25 s the end judges fold 0, and is a second long
    at least. More folds: as many stretches of the same length, each judges its fold and trains the others. A short
    recording stays whole: by its `position` among such recordings they go round. So do all, if they shall stay `whole`:
    then nets are judged on noises that they never heard, and with one fold every fourth recording judges.
    """
    if whole:
        return [((0 if position % 4 == 1 else NEVER_JUDGED) if folds == 1 else position % folds, noise)]
    length = len(noise.samples)
    if not is_cut(noise, folds):
        return [(NEVER_JUDGED + position % 2 if folds == 1 else position % folds, noise)]
    if folds == 1:
        judging_samples = max(CLIP_SAMPLES, round((1 - TRAIN_SHARE) * length) - GAP_SAMPLES)
        start = length - judging_samples
        return [
            (NEVER_JUDGED, Noise(noise.name, noise.samples[: start - GAP_SAMPLES])),
            (0, Noise(noise.name, noise.samples[start:])),
        ]
    starts = [round(fold * (length + GAP_SAMPLES) / folds) for fold in range(folds + 1)]
    return [
        (fold, Noise(noise.name, noise.samples[start : end - GAP_SAMPLES]))
        for fold, (start, end) in enumerate(pairwise(starts))
    ]


def read_stretches(path: Path) -> list[tuple[int, Noise]]:
    """Return the stretches in a corpus's noise.arrow, each with the fold that it judges; their samples stay on disk."""
    with pyarrow.ipc.open_stream(pyarrow.memory_map(str(path))) as stream:
        return [
            (
                batch["fold"][0].as_py(),
                Noise(batch["name"][0].as_py(), batch["samples"].flatten().to_numpy(zero_copy_only=True)),
            )
            for batch in stream
        ]


def judging(folder: Path, fold: int) -> list[Noise]:
    """Return the stretches in a corpus's folder that the nets of a fold never learn with."""
    return [noise for its, noise in read_stretches(folder / "noise.arrow") if its == fold]
