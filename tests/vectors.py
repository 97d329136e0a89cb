"""Clips that are their own label, one-hot, for tests of how networks are fitted: a linear layer learns them at once."""

from typing import Any

import numpy as np

from pipeline.examples.training_data import Examples, TrainingData, unaugmented

LABELS = ["a", "b", "c"]
FEATURES = np.eye(3, dtype=np.float32)[np.arange(48) % 3]


def read(rows: np.ndarray) -> np.ndarray:
    return FEATURES[rows]


def examples(clips: int) -> Examples:
    return Examples(read, np.arange(clips), np.arange(clips) % 3)


def data(**changed: Any) -> TrainingData:
    """Three steps of 16 clips an epoch."""
    whole = {"train": examples(48), "validation": examples(30), "augment": unaugmented, "seed": 3, **changed}
    return TrainingData(epoch_indices=lambda epoch: np.arange(48), **whole)


def classifier(net: Any = None, feature_augment: Any = None, **training: Any) -> Any:
    """Return an unfitted NetClassifier around `net`, by default a linear layer, always with the same weights."""
    # Imported here: spawned loader processes want the clips alone, and would wait for it.
    import torch
    from torch import nn

    from pipeline.learners.network import NetClassifier, NetworkSpec
    from pipeline.learners.training import Training

    torch.manual_seed(5)
    settings = Training(**{"epochs": 2, "batch_size": 16, "learning_rate": 0.1, **training})
    spec = NetworkSpec(LABELS, False, {})
    return NetClassifier(net or nn.Linear(3, 3), spec, nn.Identity(), settings, feature_augment)
