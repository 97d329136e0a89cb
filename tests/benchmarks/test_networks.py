"""What is timed does what its row says; how long it takes is another machine's affair."""

import numpy as np
import torch

from pipeline import models
from pipeline.benchmarks import networks
from pipeline.examples.training_data import Examples, TrainingData, unaugmented
from tests.conftest import TINY_AST

CLIPS = np.random.default_rng(0).normal(0, 3_000, (80, 16_000)).astype(np.int16)


def examples() -> Examples:
    return Examples(lambda rows: CLIPS[rows], np.arange(80), np.arange(80) % 2)


def make():
    torch.manual_seed(0)
    ast = models.find("ast")
    training = ast.Training(batch_size=4, learning_rate=1e-3, epochs=7)
    return ast.build(ast.Params(config=TINY_AST), training, ["a", "b"], examples(), None)


def test_a_run_has_four_rows_with_their_limits(monkeypatch):
    monkeypatch.setattr(networks, "STEPS", 8)
    asked = []

    def augment(inputs, generators):
        asked.append(len(inputs))
        return unaugmented(inputs, generators)

    data = TrainingData(examples(), examples(), lambda epoch: np.arange(80), augment, seed=1)
    rows = networks.of_run("ast", make, data, CLIPS, rounds=1)
    assert [row.what.split(",")[0] for row in rows] == ["training step"] * 2 + ["predict", "a clip on one thread"]
    assert [row.target for row in rows] == ["at most 1.3", "at least 3", "at most 1.05", "at most 2 ms"]
    assert "Trainer over a datasets table" in rows[1].against
    assert asked == [4] * networks.STEPS * 2  # one epoch of so many batches for each of the two rows, augmented
