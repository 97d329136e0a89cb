"""Probes: each classifier of the published table, built by its name, learns and comes back from the disk."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from pipeline.errors import PipelineError
from pipeline.examples.training_data import Examples, TrainingData, unaugmented
from pipeline.models import probes

LABELS = ["a", "b", "c"]


def examples(clips, seed):
    rng = np.random.default_rng(seed)
    targets = np.arange(clips) % 3
    told = np.eye(8)[targets] * 2
    states = np.stack([told + rng.normal(0, 0.6, told.shape) for _ in range(2)], axis=1).astype(np.float32)
    return Examples(states.__getitem__, np.arange(clips), targets, layers=(7, 8))


DATA = TrainingData(examples(120, 1), examples(60, 2), lambda epoch: np.arange(120), unaugmented, 5)


def build(tmp_path, labelled=DATA.train, training=None, **params):
    settings = probes.Params(**params)
    probes.check(settings, tmp_path)
    return probes.build(settings, probes.Training(jobs=1, **(training or {})), LABELS, labelled, tmp_path)


@pytest.mark.parametrize(
    ("classifier", "params"),
    [
        ("logistic_regression", {}),
        ("random_forest", {"options": {"n_estimators": 20}}),
        ("svm_rbf", {}),
        ("svm_linear", {"options": {"C": 0.5}}),
        ("svm_sigmoid", {}),
        ("svm_poly", {"degree": 5}),
        ("xgboost", {"options": {"n_estimators": 20}}),
        ("dense_net", {}),
    ],
)
def test_each_learns_and_comes_back_from_the_disk(classifier, params, tmp_path):
    (tmp_path / "work").mkdir()
    model = build(tmp_path, classifier=classifier, training={"epochs": 6}, **params)
    model.fit(DATA, tmp_path / "work", tmp_path / "live")
    states = DATA.validation.read(DATA.validation.rows)
    values = model.predict_proba(states)
    np.testing.assert_allclose(values.sum(axis=1), 1, atol=1e-5)
    assert np.mean(values.argmax(axis=1) == DATA.validation.targets) > 0.85
    (tmp_path / "model").mkdir()
    model.save(tmp_path / "model")
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".pkl", ".joblib", ".bin", ".pt")]
    restored = probes.restore(tmp_path / "model", probes.Training(jobs=1))
    assert restored.labels == LABELS
    np.testing.assert_array_equal(restored.predict_proba(states), values)


def test_the_recipe_is_the_published_one():
    def made(name, **params):
        return probes._estimator(probes.Params(classifier=name, **params), probes.Training(jobs=2), 3).get_params()

    assert made("logistic_regression")["max_iter"] == 1000
    forest = made("random_forest")
    assert (forest["n_estimators"], forest["random_state"], forest["n_jobs"]) == (100, 3, 2)
    assert [made(f"svm_{kernel}")["kernel"] for kernel in ("rbf", "linear", "sigmoid", "poly")] == [
        *("rbf", "linear", "sigmoid", "poly")
    ]
    assert made("svm_poly", degree=9)["degree"] == 9
    net = probes.dense_net(40, 6)
    assert [layer.out_features for layer in net if isinstance(layer, nn.Linear)] == [1024, 512, 256, 128, 64, 6]
    assert [layer.p for layer in net if isinstance(layer, nn.Dropout)] == [0.3, 0.2, 0.2, 0.2, 0.1]
    assert sum(isinstance(layer, nn.ReLU) for layer in net) == 5
    assert net.eval()(torch.zeros(2, 40)).shape == (2, 6)


def test_all_stored_layers_vote_or_those_asked_for(tmp_path):
    assert build(tmp_path).parts == ["layer-07", "layer-08"]
    chosen = build(tmp_path, layers=(8,))
    assert (chosen.parts, chosen.places) == (["layer-08"], [1])
    with pytest.raises(PipelineError, match=r"layer 3, 12 are stored; there are those of 7, 8"):
        build(tmp_path, layers=(12, 8, 3))


def test_what_it_cannot_learn_is_refused(tmp_path):
    several = Examples(lambda rows: rows, np.arange(4), np.ones((4, 3), np.float32), exclusive=False, layers=(7,))
    with pytest.raises(PipelineError, match="one label a clip"):
        build(tmp_path, labelled=several)
    soft = Examples(lambda rows: rows, np.arange(4), np.full((4, 2), 0.5, np.float32), layers=(7,))
    with pytest.raises(PipelineError, match="Probes learn one label a clip, and these clips have soft labels"):
        build(tmp_path, labelled=soft)
    alike = Examples(lambda rows: rows, np.arange(4), np.full(4, 1), layers=(7,))
    with pytest.raises(PipelineError, match="All training clips have the label 'b'"):
        build(tmp_path, labelled=alike)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"options": {"trees": 3}}, "LogisticRegression takes no option trees here.*Options: C, "),
        ({"classifier": "svm_poly", "options": {"degree": 3}}, "SVC takes no option degree"),
        ({"classifier": "dense_net", "options": {"C": 3}}, "takes no options"),
    ],
)
def test_options_that_the_classifier_does_not_have_are_refused(params, message, tmp_path):
    with pytest.raises(PipelineError, match=message):
        probes.check(probes.Params(**params), tmp_path)


@pytest.mark.parametrize("params", [{"classifier": "svm"}, {"degree": 1}, {"degree": 10}, {"layers": []}])
def test_bad_values_are_refused(params):
    with pytest.raises(ValidationError):
        probes.Params(**params)
