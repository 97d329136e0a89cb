"""Clips of both kinds that the nets over frames take, with a target that they can learn in a few seconds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.examples.training_data import Examples, TrainingData, unaugmented
from pipeline.learners.network import NetClassifier
from pipeline.learners.training import Training
from pipeline.models import Model


def embeddings_of(clips: int, seed: int, seconds: int = 10) -> Examples:
    """Half of the clips have a sound in two of their seconds: 40 of the 128 values are higher there."""
    rng = np.random.default_rng(seed)
    targets = np.arange(clips) % 2
    values = rng.integers(60, 196, (clips, seconds, 128))
    for clip in np.flatnonzero(targets):
        values[clip, rng.choice(seconds, 2, replace=False), :40] += 60
    stored = values.clip(0, 255).astype(np.uint8)
    return Examples(read=lambda rows: stored[rows], rows=np.arange(clips), targets=targets)


def sounds_of(clips: int, seed: int) -> Examples:
    """A third each of rising tones, falling tones and noise."""
    rng = np.random.default_rng(seed)
    targets = np.arange(clips) % 3
    seconds = np.arange(16_000) / 16_000
    slope = np.array([1.0, -1.0, 0.0])[targets][:, None]
    phase = 2 * np.pi * (rng.uniform(1_500, 2_000, (clips, 1)) * seconds + 600 * slope * (seconds - 0.5) ** 2)
    waves = np.where(targets[:, None] == 2, rng.uniform(-1, 1, (clips, 16_000)), np.sin(phase))
    stored = (waves * rng.uniform(2_000, 20_000, (clips, 1))).astype(np.int16)
    return Examples(read=lambda rows: stored[rows], rows=np.arange(clips), targets=targets)


def _lesson(make: Callable[..., Examples], clips: int) -> TrainingData:
    return TrainingData(
        make(clips, 1), make(60, 2), epoch_indices=lambda epoch: np.arange(clips), augment=unaugmented, seed=3
    )


class FrameNet:
    """One of the five models over frames, under the tests that hold for all."""

    def __init__(self, model: Model, folder: Path) -> None:
        self.model = model
        self.folder = folder

    def build(self, examples: Examples, labels: list[str], training: dict[str, Any], **params: Any) -> NetClassifier:
        torch.manual_seed(4)
        settings = Training(**{"optimizer": "adam", "batch_size": 16, "learning_rate": 0.002, **training})
        classifier = self.model.build(self.model.Params(**params), settings, labels, examples, self.folder)
        assert isinstance(classifier, NetClassifier)
        return classifier

    def accuracy_on(self, kind: str, epochs: int, **params: Any) -> float:
        """Train on `kind`, save, restore, and return the restored net's accuracy on the validation clips."""
        embeddings = kind == "embeddings"
        # 193 leaves an epoch's last batch a single clip.
        data = _lesson(embeddings_of, 193) if embeddings else _lesson(sounds_of, 97)
        labels = ["other", "speech"] if embeddings else ["up", "down", "silence"]
        classifier = self.build(data.train, labels, {"epochs": epochs}, **params)
        (self.folder / "work").mkdir()
        classifier.fit(data, self.folder / "work", self.folder / "live")
        (self.folder / "model").mkdir()
        classifier.save(self.folder / "model")
        restored = self.model.restore(self.folder / "model", classifier.training)
        inputs = data.validation.read(data.validation.rows)
        expected, values = classifier.predict_proba(inputs), restored.predict_proba(inputs)
        np.testing.assert_array_equal(values, expected)
        assert values.sum(axis=1) == pytest.approx(np.ones(60), abs=1e-5)
        return float((values.argmax(axis=1) == data.validation.targets).mean())


@pytest.fixture
def frame_net(tmp_path: Path) -> Callable[[Model], FrameNet]:
    """`frame_net(linear).accuracy_on("embeddings", epochs=5)`."""
    return lambda model: FrameNet(model, tmp_path)


@pytest.fixture
def embeddings() -> Callable[..., Examples]:
    """`embeddings(clips, seed, seconds=10)`."""
    return embeddings_of
