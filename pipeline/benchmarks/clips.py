"""How fast clips are decoded, read from the corpus, and turned into log-mel spectrograms."""

import io
import warnings

import numpy as np
import soundfile
import torch
from transformers import ASTFeatureExtractor

from pipeline.benchmarks.rounds import alternate
from pipeline.benchmarks.table import Finding, rates
from pipeline.clips.corpus import Corpus
from pipeline.clips.waveform import CLIP_SAMPLES, SAMPLE_RATE_HZ, decode
from pipeline.examples.training_data import as_float
from pipeline.features.log_mel import LogMel

BATCH_CLIPS = 64
LARGEST_DIFFERENCE = 1e-3


def decoding(files: list[bytes], rounds: int) -> Finding:
    """Compare `decode` with soundfile, both from memory to int16."""
    times = alternate(
        lambda: [decode(data) for data in files],
        lambda: [soundfile.read(io.BytesIO(data), dtype="int16") for data in files],
        rounds,
    )
    return rates("decoding", len(files), "clips", times, "soundfile", at_least=5)


def reading(corpus: Corpus, rounds: int) -> Finding:
    """Compare batches of the corpus, drawn in random order, with a copy of as many bytes from memory to memory."""
    count = min(len(corpus), 4096)
    order = np.random.default_rng(0).permutation(len(corpus))[:count]
    starts = range(0, count, BATCH_CLIPS)
    held = np.ones((count, CLIP_SAMPLES), np.int16)
    times = alternate(
        lambda: [corpus.samples(order[start : start + BATCH_CLIPS]) is None for start in starts],
        lambda: [held[start : start + BATCH_CLIPS].copy() is None for start in starts],
        rounds,
    )
    return rates("corpus, rows in random batches", count, "rows", times, "a copy in memory")


def log_mel(samples: np.ndarray, rounds: int) -> list[Finding]:
    """Compare `LogMel` with `ASTFeatureExtractor`, given lists of clips, on int16 `samples` [clips, 16000]."""
    waveforms = as_float(samples)
    batches = [waveforms[start : start + BATCH_CLIPS] for start in range(0, len(waveforms), BATCH_CLIPS)]
    with warnings.catch_warnings():
        # 128 mel bands over 257 frequencies leave some bands empty; so it is in the published checkpoints.
        warnings.filterwarnings("ignore", "At least one mel filter")
        extractor = ASTFeatureExtractor(max_length=128)
        front_end = LogMel(max_length=128, mean=extractor.mean, std=extractor.std)

    def ours() -> list[np.ndarray]:
        with torch.inference_mode():
            return [front_end(torch.from_numpy(batch)).numpy() for batch in batches]

    def theirs() -> list[np.ndarray]:
        return [
            extractor(list(batch), sampling_rate=SAMPLE_RATE_HZ, return_tensors="np")["input_values"]
            for batch in batches
        ]

    difference = max(float(np.abs(a - b).max()) for a, b in zip(ours(), theirs(), strict=True))
    times = alternate(ours, theirs, rounds, warm_up=False)
    what = f"log-mel, batches of {BATCH_CLIPS}, {torch.get_num_threads()} threads"
    return [
        rates(what, len(waveforms), "clips", times, "ASTFeatureExtractor", at_least=5),
        Finding(
            "log-mel, its numbers",
            f"{len(waveforms)} clips",
            "ASTFeatureExtractor",
            f"differ by {difference:.1e} at most",
            f"at most {LARGEST_DIFFERENCE:g}",
            difference <= LARGEST_DIFFERENCE,
        ),
    ]
