"""Clips that a small net learns in seconds: low tones, high tones and noise."""

from pathlib import Path

import numpy as np

from pipeline.examples.training_data import Examples, TrainingData, unaugmented
from pipeline.learners.training import Training

LABELS = ["low", "high", "noise"]


def sounds(clips: int, seed: int, multi_label: bool = False, noise: float = 1.0) -> Examples:
    """Low tones, high tones and noise of that amplitude, in turn; with `multi_label`, any of them at once."""
    rng = np.random.default_rng(seed)
    held = rng.random((clips, 3)) < 0.5 if multi_label else np.eye(3, dtype=bool)[np.arange(clips) % 3]
    seconds = np.arange(16_000) / 16_000
    parts = np.stack(
        [
            np.sin(2 * np.pi * rng.uniform(200, 400, (clips, 1)) * seconds),
            np.sin(2 * np.pi * rng.uniform(2000, 3000, (clips, 1)) * seconds),
            rng.uniform(-noise, noise, (clips, 16_000)),
        ],
        axis=1,
    )
    samples = ((parts * held[..., None]).sum(axis=1) * 8000).astype(np.int16)
    targets = held.astype(np.float32) if multi_label else held.argmax(axis=1)
    return Examples(lambda rows: samples[rows], np.arange(clips), targets, exclusive=not multi_label)


def training_data_of(train: Examples, validation: Examples) -> TrainingData:
    """All clips, as they are, in every epoch."""
    return TrainingData(
        train,
        validation,
        epoch_indices=lambda epoch: np.arange(len(train.rows)),
        augment=unaugmented,
        seed=3,
    )


TRAIN, VALIDATION = sounds(48, seed=1), sounds(30, seed=2)
DATA = training_data_of(TRAIN, VALIDATION)


def assert_learns_and_comes_back(classifier, restore, folder: Path) -> None:
    """Train a classifier on these clips; a model file's `restore` must give back what was saved."""
    classifier.fit(DATA, folder / "work", folder / "live")
    samples = VALIDATION.read(VALIDATION.rows)
    values = classifier.predict_proba(samples)
    assert np.mean(values.argmax(axis=1) == VALIDATION.targets) > 0.9
    (folder / "model").mkdir()
    classifier.save(folder / "model")
    np.testing.assert_array_equal(restore(folder / "model", Training()).predict_proba(samples), values)
