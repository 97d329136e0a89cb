"""Gated recurrent units: learns from either spectrogram, the same twice, and comes back from the disk as it was."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.learners.trainer import Training
from pipeline.models import gru
from tests.models.tones import LABELS, LESSON, TRAIN, VALIDATION

MENDED = {"num_mel_bins": 16, "channels": [4], "hidden": 8, "layers": 1, "dropout": 0.1}
ORIGINAL = {
    "spectrogram": "amplitude",
    "num_mel_bins": 16,
    "channels": [],
    "hidden": 8,
    "layers": 1,
    "bidirectional": False,
    "pooling": "last",
    "dropout": 0.0,
}


def fitted(params, folder, epochs=8):
    torch.manual_seed(5)
    training = Training(epochs=epochs, batch_size=8, learning_rate=0.02)
    classifier = gru.build(gru.Params(**params), training, LABELS, TRAIN, store=None)
    classifier.fit(LESSON, folder / "work", folder / "live")
    return classifier


@pytest.mark.parametrize("params", [MENDED, ORIGINAL], ids=["mended", "original"])
def test_it_learns_and_what_is_saved_gives_the_same_probabilities(params, tmp_path) -> None:
    classifier = fitted(params, tmp_path)
    samples = VALIDATION.read(VALIDATION.rows)
    probabilities = classifier.predict_proba(samples)
    assert (probabilities.argmax(axis=1) == VALIDATION.targets).mean() > 0.9
    (tmp_path / "model").mkdir()
    classifier.save(tmp_path / "model")
    restored = gru.restore(tmp_path / "model", Training())
    assert (restored.labels, restored.multi_label) == (LABELS, False)
    assert restored.predict_proba(samples) == pytest.approx(probabilities, abs=1e-6)


def test_the_same_seed_gives_the_same_weights(tmp_path) -> None:
    one, other = (fitted(MENDED, tmp_path / name, epochs=1).model.state_dict() for name in ("one", "other"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_its_cell_is_its_own_and_clips_may_have_several_labels() -> None:
    several = replace(TRAIN, targets=np.eye(3, dtype=np.float32)[TRAIN.targets])
    classifier = gru.build(gru.Params(**MENDED), Training(), LABELS, several, store=None)
    assert type(classifier.model.recurrent) is torch.nn.GRU
    assert classifier.multi_label
    assert classifier.predict_proba(TRAIN.read(TRAIN.rows[:4])).shape == (4, 3)
