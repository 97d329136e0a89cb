"""The vote of the layers: by hand, resumed after a kill, and back from the disk."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from pipeline.examples.training_data import Examples, TrainingData, unaugmented
from pipeline.features.selection import Selecting, Selection
from pipeline.learners.classifier import Classifier, Composite
from pipeline.learners.estimator import EstimatorClassifier
from pipeline.models._layerwise import LayerwiseClassifier

LABELS = ["a", "b", "c"]
LAYERS, PLACES = [7, 9, 12], [0, 2, 3]  # of five that are stored
NOISE = [0.4, 9.0, 0.8, 2.0, 9.0]  # of the stored layers


def examples(clips, seed, rare=1):
    """Labels 0, 1, 2 in turn; of label 2 only each `rare`-th clip."""
    rng = np.random.default_rng(seed)
    targets = np.arange(clips) % 3
    targets = targets[(targets != 2) | (np.arange(clips) // 3 % rare == 0)]
    told = np.eye(6)[targets]
    states = np.stack([told + rng.normal(0, deviation, told.shape) for deviation in NOISE], axis=1).astype(np.float32)
    return Examples(states.__getitem__, np.arange(len(targets)), targets, layers=(7, 8, 9, 12, 13))


def data(rare=1):
    train, validation = examples(300, 1, rare), examples(150, 2)
    return TrainingData(train, validation, lambda epoch: np.arange(len(train.rows)), unaugmented, 5)


def layerwise(oversampling=True, make=None):
    def made(features, seed):
        return EstimatorClassifier(LogisticRegression(random_state=seed), LABELS)

    return LayerwiseClassifier(
        LABELS, LAYERS, PLACES, Selecting(), oversampling, make or made, EstimatorClassifier.restore
    )


def fitted(tmp_path, **options):
    (tmp_path / "work").mkdir(exist_ok=True)
    classifier = layerwise(**options)
    classifier.fit(data(), tmp_path / "work", tmp_path / "live")
    return classifier


@pytest.fixture
def judged():
    held = examples(600, 9)
    return held.read(held.rows), held.targets


def test_per_label_it_sums_probabilities_times_the_layer_s_validation_accuracy(judged, tmp_path):
    classifier = fitted(tmp_path)
    states, targets = judged
    parts = classifier.predict_parts(states)
    assert isinstance(classifier, Composite)
    assert classifier.parts == ["layer-07", "layer-09", "layer-12"]
    assert parts.shape == (3, len(targets), 3)
    held = data().validation
    shares = [np.mean(part.argmax(axis=1) == held.targets) for part in classifier.predict_parts(held.read(held.rows))]
    assert classifier.accuracies == pytest.approx(shares)
    assert shares[0] > shares[1] > shares[2]
    by_hand = sum(share * part for share, part in zip(shares, parts, strict=True)) / sum(shares)
    np.testing.assert_allclose(classifier.predict_proba(states), by_hand, atol=1e-6)
    of_layers = [np.mean(part.argmax(axis=1) == targets) for part in parts]
    assert np.mean(by_hand.argmax(axis=1) == targets) > np.mean(of_layers)


def test_a_vote_of_layers_that_know_nothing_is_a_mean():
    classifier = layerwise()
    classifier.accuracies = [0.0, 0.0, 0.0]
    values = np.random.default_rng(0).random((3, 4, 3)).astype(np.float32)
    np.testing.assert_allclose(classifier.combine(values), values.mean(axis=0), atol=1e-6)


class Killed(BaseException):
    pass


def test_killed_it_goes_on_with_the_layer_that_it_was_at(judged, tmp_path):
    layers, allowed = [], [2]

    def make(features, seed):
        layers.append(seed)
        if len(layers) > allowed[0]:
            raise Killed
        return EstimatorClassifier(LogisticRegression(random_state=seed), LABELS)

    with pytest.raises(Killed):
        fitted(tmp_path, make=make)
    allowed[0] = 9
    resumed = fitted(tmp_path, make=make)
    assert len(layers) == 4
    assert layers[2] == layers[3]
    whole = tmp_path / "whole"
    whole.mkdir()
    np.testing.assert_array_equal(resumed.predict_proba(judged[0]), fitted(whole).predict_proba(judged[0]))
    curve = "live/plots/metrics/validation/accuracy.tsv"
    assert (tmp_path / curve).read_text() == (whole / curve).read_text()


def test_the_curve_s_steps_are_the_layers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a repository without a commit, of which DVCLive would say that it is empty
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], check=True)
    classifier = fitted(tmp_path)
    lines = (tmp_path / "live/plots/metrics/validation/accuracy.tsv").read_text().splitlines()[1:]
    assert [(int(layer), float(accuracy)) for layer, accuracy in map(str.split, lines)] == [
        (layer, pytest.approx(accuracy)) for layer, accuracy in zip(LAYERS, classifier.accuracies, strict=True)
    ]
    figures = json.loads((tmp_path / "live/metrics.json").read_text())
    assert figures["accuracy_of_the_mean_layer"] == pytest.approx(np.mean(classifier.accuracies))
    assert figures["accuracy_of_the_vote"] >= figures["accuracy_of_the_mean_layer"]


def test_it_comes_back_from_the_disk(judged, tmp_path):
    classifier = fitted(tmp_path)
    (tmp_path / "model").mkdir()
    classifier.save(tmp_path / "model")
    restored = LayerwiseClassifier.restore(tmp_path / "model", EstimatorClassifier.restore)
    assert (restored.labels, restored.parts) == (LABELS, classifier.parts)
    np.testing.assert_array_equal(restored.predict_proba(judged[0]), classifier.predict_proba(judged[0]))


@pytest.mark.parametrize("oversampling", [True, False])
def test_rarer_labels_are_drawn_again_where_asked(oversampling, tmp_path):
    counts = []

    class Counting(EstimatorClassifier):
        def fit(self, data, work, live):
            counts.append(np.bincount(data.train.targets[data.epoch_indices(0)]).tolist())
            super().fit(data, work, live)

    def make(features, seed) -> Classifier:
        return Counting(LogisticRegression(), LABELS)

    layerwise(oversampling, make).fit(data(rare=10), tmp_path, tmp_path / "live")
    assert counts == [[100, 100, 100 if oversampling else 10]] * 3


def test_each_layer_has_a_seed_of_its_own_which_follows_the_seed_of_the_run(tmp_path):
    def seeds(folder):
        drawn = []
        folder.mkdir()
        fitted(folder, make=lambda _, seed: drawn.append(seed) or EstimatorClassifier(LogisticRegression(), LABELS))
        return drawn

    first = seeds(tmp_path / "first")
    assert len(set(first)) == len(LAYERS)
    assert seeds(tmp_path / "again") == first


def test_features_are_selected_and_learnt_from_the_clips_that_the_epoch_draws_alone(tmp_path, monkeypatch):
    told, learnt, fit = [], [], Selection.fit
    monkeypatch.setattr(Selection, "fit", lambda states, *more: told.append(states) or fit(states, *more))

    class Watched(EstimatorClassifier):
        def fit(self, data, work, live):
            learnt.append([data.epoch_indices(epoch) for epoch in (0, 1, 0)])
            super().fit(data, work, live)

    given = data(rare=5)
    drawn = np.arange(40, 160)
    given = replace(given, epoch_indices=lambda epoch: drawn)
    (tmp_path / "work").mkdir()
    layerwise(make=lambda _, seed: Watched(LogisticRegression(random_state=seed), LABELS)).fit(
        given, tmp_path / "work", tmp_path / "live"
    )
    states = given.train.read(given.train.rows)
    for place, selected, (first, second, again) in zip(PLACES, told, learnt, strict=True):
        np.testing.assert_array_equal(selected, states[drawn, place])
        assert set(first.tolist()) == set(drawn.tolist())  # some of them several times
        assert len(first) > len(drawn)
        np.testing.assert_array_equal(again, first)
        assert sorted(second.tolist()) != sorted(first.tolist())
