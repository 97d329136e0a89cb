"""Choosing features: on ones of which it is known what they tell."""

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.errors import PipelineError
from pipeline.features.selection import Selecting, Selection

RNG = np.random.default_rng(3)
TARGETS = np.arange(400) % 4
TELLING = np.eye(4)[TARGETS][:, :3] + RNG.normal(0, 0.3, (400, 3))  # one feature for each of three labels
NOISE = RNG.normal(0, 1, (400, 5))


def kept(values, **settings):
    return Selection.fit(values.astype(np.float32), TARGETS, Selecting(**settings)).kept.tolist()


def test_the_values_are_standardised_as_those_that_it_was_fitted_on():
    features = (TELLING * 7 + 100).astype(np.float32)
    selection = Selection.fit(features, TARGETS, Selecting(lasso_alpha=None))
    standard = selection(features)
    assert standard.dtype == np.float32
    np.testing.assert_allclose(standard.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(standard.std(axis=0), 1, atol=1e-4)
    np.testing.assert_allclose(selection(features[:1] + 7), standard[:1] + 7 / features.std(axis=0), atol=1e-4)


def test_of_a_highly_correlated_pair_the_later_goes_whatever_the_sign():
    nearly = RNG.normal(0, 0.01, (400, 2))
    twin, mirrored = TELLING[:, [0]] + nearly[:, [0]], -2 * TELLING[:, [1]] + nearly[:, [1]]
    features = np.hstack([TELLING, twin, mirrored])
    assert kept(features, max_correlation=0.95, lasso_alpha=None) == [0, 1, 2]
    assert kept(features, max_correlation=1, lasso_alpha=None) == [0, 1, 2, 3, 4]


def test_lasso_keeps_what_tells_any_label_and_drops_noise():
    features = np.hstack([NOISE[:, :2], TELLING, NOISE[:, 2:]])
    assert kept(features, lasso_alpha=0.15) == [2, 3, 4]
    assert set(kept(features, lasso_alpha=0.0001)) > {2, 3, 4}


def test_so_many_features_as_asked_with_the_largest_weights():
    features = np.hstack([NOISE, TELLING])
    assert kept(features, lasso_alpha=0.0001, features=3) == [5, 6, 7]
    assert kept(features, lasso_alpha=0.0001, features=99) == list(range(8))


def test_a_number_of_features_without_the_lasso_that_weighs_them_is_refused():
    with pytest.raises(ValidationError, match="with it, set lasso_alpha"):
        Selecting(features=3, lasso_alpha=None)


def test_what_never_changes_is_left_out():
    assert kept(np.hstack([np.full((400, 1), 1e6), TELLING]), lasso_alpha=None) == [1, 2, 3]


def test_a_lasso_that_leaves_nothing_is_refused():
    with pytest.raises(PipelineError, match=r"Of 5 features none is left.*lasso_alpha 0\.9"):
        kept(NOISE, lasso_alpha=0.9)


def test_it_comes_back_from_the_disk(tmp_path):
    selection = Selection.fit(NOISE.astype(np.float32), TARGETS, Selecting(lasso_alpha=None))
    selection.save(tmp_path)
    features = NOISE.astype(np.float32)
    np.testing.assert_array_equal(Selection.restore(tmp_path)(features), selection(features))
