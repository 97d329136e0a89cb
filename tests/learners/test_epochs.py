"""Each epoch's probabilities of the validation clips: written once, whole, and in order."""

import numpy as np

from pipeline.learners import epochs
from tests import vectors


def test_what_is_recorded_is_read_in_the_order_of_the_epochs(tmp_path):
    assert epochs.read(tmp_path) is None
    values = np.random.default_rng(0).random((12, 5, 3))
    for epoch in (2, 1, *range(3, 13)):
        epochs.record(tmp_path, epoch, values[epoch - 1])
    assert sorted(path.name for path in (tmp_path / "epochs").iterdir())[::11] == ["0001.npy", "0012.npy"]
    found = epochs.read(tmp_path)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, values.astype(np.float32))


def test_with_a_gap_there_is_nothing_to_choose_from(tmp_path):
    for epoch in (1, 3):
        epochs.record(tmp_path, epoch, np.zeros((5, 3), np.float32))
    assert epochs.read(tmp_path) is None


def test_they_are_what_the_classifier_predicted_then(tmp_path):
    classifier = vectors.classifier(epochs=3, mixup_alpha=0.5, label_smoothing=0.1)
    classifier.fit(vectors.data(), tmp_path, tmp_path / "live")
    recorded = epochs.read(tmp_path)
    assert recorded.shape == (3, 30, 3)
    predicted = classifier.predict_proba(vectors.FEATURES[:30])
    assert min(np.abs(values - predicted).max() for values in recorded) < 1e-6
