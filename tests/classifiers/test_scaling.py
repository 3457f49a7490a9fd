"""Scaling: roots only where they make sense, one scale for all features."""

import numpy as np

from classifiers._scaling import Scaling


def test_features_that_are_never_negative_are_rooted() -> None:
    X = np.random.default_rng(0).exponential(size=(500, 4)).astype(np.float32)
    scaling = Scaling.learn(X, True)
    assert scaling.root
    roots = np.sqrt(X)
    expected = (roots - roots.mean(axis=0)) / roots.std(axis=0).mean()
    np.testing.assert_allclose(scaling(X), expected, rtol=0.05, atol=0.05)
    assert np.sqrt((scaling(X) ** 2).mean()) == np.float32(1) or np.isclose(scaling(X).std(), 1)


def test_features_with_negative_values_stay() -> None:
    X = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    scaling = Scaling.learn(X, True)
    assert not scaling.root
    np.testing.assert_allclose(scaling(X) * scaling.scale + scaling.mean, X, atol=1e-6)


def test_a_negative_value_that_training_never_saw_is_zero() -> None:
    scaling = Scaling.learn(np.abs(np.eye(4, dtype=np.float32)), True)
    below, zero = np.full((1, 4), -1, np.float32), np.zeros((1, 4), np.float32)
    np.testing.assert_array_equal(scaling(below), scaling(zero))


def test_it_can_be_left_out() -> None:
    X = np.random.default_rng(0).exponential(size=(50, 4)).astype(np.float32)
    np.testing.assert_array_equal(Scaling.learn(X, False)(X), X)


def test_loud_features_stay_louder_than_quiet_ones() -> None:
    X = np.random.default_rng(0).normal(size=(500, 2)).astype(np.float32) * [1, 0.1]
    loud, quiet = Scaling.learn(X.astype(np.float32), True)(X.astype(np.float32)).std(axis=0)
    assert 9 < loud / quiet < 11


def test_identical_rows_are_no_division_by_zero() -> None:
    X = np.ones((5, 3), np.float32)
    assert not Scaling.learn(X, True)(X).any()
