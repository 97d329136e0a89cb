"""scikit-learn's estimators behind the classifier's shape: probabilities, and files that run no code."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC
from skops.io.exceptions import UntrustedTypesFoundException
from xgboost import XGBClassifier

from pipeline.errors import PipelineError
from pipeline.examples.training_data import Examples, TrainingData, unaugmented
from pipeline.learners.estimator import EstimatorClassifier, temperature_of

LABELS = ["a", "b", "absent", "c"]
MAKERS = {
    "logistic": lambda: LogisticRegression(max_iter=1000),
    "forest": lambda: RandomForestClassifier(10, random_state=3, n_jobs=1),
    "svm": lambda: SVC(),
    "xgboost": lambda: XGBClassifier(n_estimators=10, random_state=3, n_jobs=1),
}


def examples(clips, seed, places=(0, 1, 3)):
    rng = np.random.default_rng(seed)
    targets = np.array(places)[np.arange(clips) % len(places)]
    features = (np.eye(4)[targets] * 3 + rng.normal(size=(clips, 4))).astype(np.float32)
    return Examples(features.__getitem__, np.arange(clips), targets)


def data(places=(0, 1, 3)):
    return TrainingData(
        examples(90, 1, places),
        examples(60, 2, places),
        lambda epoch: np.arange(90),
        unaugmented,
        5,
    )


def fitted(kind, tmp_path, places=(0, 1, 3)):
    classifier = EstimatorClassifier(MAKERS[kind](), LABELS)
    classifier.fit(data(places), tmp_path / "work", tmp_path / "live")
    return classifier


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("places", [(0, 1, 3), (1, 3)], ids=["three", "two"])
def test_it_tells_labels_by_probabilities_and_comes_back_from_the_disk(kind, places, tmp_path):
    classifier = fitted(kind, tmp_path, places)
    judged = data(places).validation
    features = judged.read(judged.rows)
    values = classifier.predict_proba(features)
    assert values.dtype == np.float32
    assert values.shape == (60, 4)
    np.testing.assert_allclose(values.sum(axis=1), 1, atol=1e-5)
    assert np.mean(values.argmax(axis=1) == judged.targets) > 0.85
    assert not values[:, [place for place in range(4) if place not in places]].any()
    classifier.save(tmp_path)
    restored = EstimatorClassifier.restore(tmp_path)
    assert restored.labels == LABELS
    np.testing.assert_array_equal(restored.predict_proba(features), values)
    assert restored.predict_proba(features[:0]).shape == (0, 4)


@pytest.mark.parametrize("kind", MAKERS)
def test_the_same_fit_has_the_same_bytes(kind, tmp_path):
    files = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        fitted(kind, tmp_path).save(tmp_path / name)
        files.append((tmp_path / name / "estimator.skops").read_bytes())
    assert files[0] == files[1]


def test_scores_become_probabilities_that_rank_as_they_do(tmp_path):
    classifier = fitted("svm", tmp_path)
    features = examples(200, 9).read(np.arange(200))
    predicted = np.array([0, 1, 3])[classifier.estimator.predict(features)]
    np.testing.assert_array_equal(classifier.predict_proba(features).argmax(axis=1), predicted)


@pytest.mark.parametrize("true", [0.5, 1.0, 4.0])
def test_the_temperature_is_that_by_which_the_truth_was_drawn(true):
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 3, (20_000, 3))
    odds = np.exp(scores / true)
    shares = np.cumsum(odds / odds.sum(axis=1, keepdims=True), axis=1)
    truth = (rng.random((20_000, 1)) > shares).sum(axis=1)
    assert temperature_of(scores, truth) == pytest.approx(true, rel=0.05)


def test_one_label_alone_is_refused(tmp_path):
    with pytest.raises(PipelineError, match="All training clips have the label 'b'"):
        fitted("logistic", tmp_path, places=(1,))


def test_soft_labels_are_refused(tmp_path):
    whole = data()
    soft = replace(whole, train=replace(whole.train, targets=np.full((90, 4), 0.25, np.float32)))
    with pytest.raises(PipelineError, match=r"Estimators of scikit-learn learn one label.*\n.*a network as `model`"):
        EstimatorClassifier(MAKERS["logistic"](), LABELS).fit(soft, tmp_path / "work", tmp_path / "live")


def test_a_file_with_other_types_in_it_is_refused(tmp_path):
    fitted("logistic", tmp_path).save(tmp_path)
    skops.io.dump({"code": pickle.Unpickler}, tmp_path / "estimator.skops")
    with pytest.raises(UntrustedTypesFoundException):
        EstimatorClassifier.restore(tmp_path)
