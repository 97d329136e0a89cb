"""How the test clips differ from the training clips in sound: the shift that hides behind a good estimate."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.clips.corpus import Corpus
from pipeline.clips.waveform import CLIP_SAMPLES, SAMPLE_RATE_HZ
from pipeline.examples.training_data import as_float

CLIPS = 1500  # drawn of each part: as many tell shares of 0.05 apart, and are read in a second
FRAME_SAMPLES = 400  # 25 ms
SILENT_DB = -90.0  # digital silence
CLIPPED = 32_700  # of 32,767: what is louder has reached the end of the scale
BINS = 36
TOLD = 0.2  # distance from which it is told in words
ALIKE = 0.9  # share of both parts in one bin, from which a chart of it would be one bar

MEASURES = {
    "loudness": ("Loudness", "dB of full scale, of the clip"),
    "noise": ("Noise floor", "dB of full scale, of the quietest tenth"),
    "clipping": ("Clipping", "samples at full scale, ‰"),
    "duration": ("Duration", "seconds that are not padding"),
}


def measure(samples: NDArray[np.int16]) -> dict[str, NDArray[np.float64]]:
    """Return the measures of int16 [clips, 16000], float64 [clips] each; units as in MEASURES."""
    frames = as_float(samples.reshape(len(samples), -1, FRAME_SAMPLES))
    power = np.mean(frames**2, axis=2, dtype=np.float64)  # [clips, frames]
    sounding = samples != 0
    first, last = sounding.argmax(axis=1), CLIP_SAMPLES - sounding[:, ::-1].argmax(axis=1)
    duration = np.where(sounding.any(axis=1), last - first, 0) / SAMPLE_RATE_HZ
    # Of frames that hold sound at all: padding is no noise floor.
    heard = np.where(power > 0, power, np.nan)
    quiet = np.nanquantile(np.where(np.isnan(heard).all(axis=1, keepdims=True), 0, heard), 0.1, axis=1)
    return {
        "loudness": _decibels(power.mean(axis=1)),
        "noise": _decibels(quiet),
        "clipping": 1000 * np.mean(np.abs(samples.astype(np.int32)) >= CLIPPED, axis=1),
        "duration": duration,
    }


def compare(corpus: Corpus) -> list[dict[str, Any]]:
    """Return for each measure how training and test clips differ; none where a corpus has no audio or no test clips.

    `distance` is the Kolmogorov-Smirnov distance: the share of clips that would have to change. 0 is alike, 1 is apart.
    Clips that were made count in neither (of noise for silence, of synthetic speech), recordings that could not be
    decoded neither.
    """
    if not corpus.has_audio:
        return []
    rows = corpus.rows
    real = (rows["readable"] & rows["noise_source"].isna()).to_numpy()
    parts = {
        "training": real & ((rows["part"] == "train") & (rows["split"] != "synthetic")).to_numpy(),
        "test": real & (rows["part"] == "test").to_numpy(),
    }
    if not all(part.any() for part in parts.values()):
        return []
    measured = {name: measure(corpus.samples(_some(np.flatnonzero(part)))) for name, part in parts.items()}
    return [_difference(name, measured["training"][name], measured["test"][name]) for name in MEASURES]


def _difference(name: str, train: NDArray[np.float64], test: NDArray[np.float64]) -> dict[str, Any]:
    from scipy import stats  # here, since it takes a second

    title, unit = MEASURES[name]
    both = np.concatenate([train, test])
    low, high = np.quantile(both, [0.002, 0.998])
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    points, common = [], []
    for part, values in (("training", train), ("test", test)):
        counted = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0] / len(values)
        common.append(counted)
        points += [
            {"part": part, "from": float(start), "to": float(end), "share": float(share)}
            for start, end, share in zip(edges[:-1], edges[1:], counted, strict=True)
        ]
    return {
        "name": name,
        "title": title,
        "unit": unit,
        "points": points,
        "alike": bool(np.minimum(*common).max() > ALIKE),
        "distance": float(stats.ks_2samp(train, test, method="asymp").statistic),
        "training": float(np.median(train)),
        "test": float(np.median(test)),
    }


def _some(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return at most CLIPS of the rows, spread evenly, ascending."""
    if len(rows) <= CLIPS:
        return rows
    return rows[np.linspace(0, len(rows) - 1, CLIPS).round().astype(np.int64)]


def _decibels(power: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(10 * np.log10(np.maximum(power, 1e-12)), SILENT_DB)
