"""GRU and LSTM: each learns from either spectrogram, the same twice, and comes back from the disk as it was."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.learners.training import Training
from pipeline.models import gru, lstm
from tests.tones import DATA, LABELS, TRAIN, VALIDATION

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


@pytest.fixture(params=[(gru, torch.nn.GRU), (lstm, torch.nn.LSTM)], ids=["gru", "lstm"])
def both(request):
    return request.param


@pytest.fixture
def model(both):
    return both[0]


def fitted(model, params, folder, epochs=8):
    torch.manual_seed(5)
    training = Training(epochs=epochs, batch_size=8, learning_rate=0.02)
    classifier = model.build(model.Params(**params), training, LABELS, TRAIN, store=None)
    classifier.fit(DATA, folder / "work", folder / "live")
    return classifier


@pytest.mark.parametrize("params", [MENDED, ORIGINAL], ids=["mended", "original"])
def test_it_learns_and_what_is_saved_gives_the_same_probabilities(model, params, tmp_path) -> None:
    classifier = fitted(model, params, tmp_path)
    samples = VALIDATION.read(VALIDATION.rows)
    probabilities = classifier.predict_proba(samples)
    assert (probabilities.argmax(axis=1) == VALIDATION.targets).mean() > 0.9
    (tmp_path / "model").mkdir()
    classifier.save(tmp_path / "model")
    restored = model.restore(tmp_path / "model", Training())
    assert (restored.labels, restored.multi_label) == (LABELS, False)
    assert restored.predict_proba(samples) == pytest.approx(probabilities, abs=1e-6)


def test_the_same_seed_gives_the_same_weights(model, tmp_path) -> None:
    one, other = (fitted(model, MENDED, tmp_path / name, epochs=1).model.state_dict() for name in ("one", "other"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_its_cell_is_its_own_and_clips_may_have_several_labels(both) -> None:
    model, cell = both
    several = replace(TRAIN, targets=np.eye(3, dtype=np.float32)[TRAIN.targets], exclusive=False)
    classifier = model.build(model.Params(**MENDED), Training(), LABELS, several, store=None)
    assert type(classifier.model.recurrent) is cell
    assert classifier.multi_label
    assert classifier.predict_proba(TRAIN.read(TRAIN.rows[:4])).shape == (4, 3)
