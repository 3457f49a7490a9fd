"""PCA + SVM: components, machines that agree with their definitions, and choices on dev."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.decomposition import PCA
from sklearn.gaussian_process.kernels import RBF
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC, LinearSVC

from classifiers import PCASVM
from classifiers._kernel import LeastSquaresSVM, rbf

Array = npt.NDArray[np.float32]


def overlapping(
    classes: int, count: int, features: int, seed: int = 0
) -> tuple[Array, npt.NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(count) % classes)
    X = rng.normal(size=(count, features)).astype(np.float32)
    X[np.arange(count), y] += 1.5
    return X, y


@pytest.mark.parametrize(
    ("count", "features", "components", "kept"),
    [(100, 20, 8, 8), (100, 20, 256, 20), (15, 50, 256, 15)],
)
def test_components_are_no_more_than_there_can_be(
    count: int, features: int, components: int, kept: int
) -> None:
    model = PCASVM(components=(components,)).fit(*overlapping(3, count, features))
    assert model.components_.shape == (features, kept)
    assert model.components == (components,)


def test_the_kernel_is_scikit_learns() -> None:
    X, _ = overlapping(3, 30, 5)
    Y, _ = overlapping(3, 20, 5, seed=1)
    expected = RBF(length_scale=1 / np.sqrt(2 * 0.3))(X, Y)
    np.testing.assert_allclose(rbf(X, Y, 0.3), expected, atol=1e-6)


def test_with_all_rows_as_landmarks_the_dual_problem_is_solved() -> None:
    """Suykens and Vandewalle's system with a fixed bias: (K + I / C) alpha = y - b."""
    X, y = overlapping(3, 60, 5)
    machine = LeastSquaresSVM(X, y, 3, X, gamma=0.2)
    targets = np.where(np.arange(3) == y[:, None], 1, -1)
    alpha = np.linalg.solve(rbf(X, X, 0.2) + np.eye(60) / 4, targets - targets.mean(axis=0))
    scores = rbf(X, X, 0.2) @ machine.solve(C=4)
    np.testing.assert_allclose(scores, rbf(X, X, 0.2) @ alpha, atol=2e-3)


def test_it_is_as_good_as_libsvm() -> None:
    X, y = overlapping(4, 800, 12)
    X_new, y_new = overlapping(4, 2000, 12, seed=1)
    plain = make_pipeline(PCA(10), SVC()).fit(X, y).score(X_new, y_new)
    assert PCASVM(components=(10,), C=(1.0,)).fit(X, y).score(X_new, y_new) > plain - 0.01


def test_fewer_landmarks_are_nearly_as_good_as_all() -> None:
    X, y = overlapping(4, 800, 12)
    few, every = (PCASVM(landmarks=n, C=(1.0,)).fit(X, y) for n in (200, 800))
    assert few.landmarks_.shape == (200, 12)
    assert every.landmarks_.shape == (800, 12)
    X_new, y_new = overlapping(4, 2000, 12, seed=1)
    assert abs(few.score(X_new, y_new) - every.score(X_new, y_new)) < 0.02


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize(("count", "features"), [(150, 12), (40, 60)])
def test_the_report_preset_is_a_linear_one_against_rest_machine(
    classes: int, count: int, features: int
) -> None:
    X, y = overlapping(classes, count, features)
    X_new, _ = overlapping(classes, 200, features, seed=1)
    plain = make_pipeline(PCA(256 if count > 256 else min(count, features)), LinearSVC())
    model = PCASVM(**PCASVM.presets["report"]).fit(X, y)
    assert (model.predict(X_new) == plain.fit(X, y).predict(X_new)).mean() > 0.97
    assert model.landmarks_.shape[0] == 0


def test_principal_components_come_from_the_training_set_alone() -> None:
    X, y = overlapping(3, 100, 20)
    alone = PCASVM(components=(5,), C=(1.0,)).fit(X, y)
    model = PCASVM(components=(5,), C=(1.0,)).fit(X, y, 100 * X, y)
    np.testing.assert_array_equal(model.components_, alone.components_)
    np.testing.assert_array_equal(model.center_, alone.center_)


def test_a_higher_cost_fits_the_training_set_more_closely() -> None:
    X, y = overlapping(3, 150, 12)
    loose, tight = (PCASVM(C=(C,)).fit(X, y).score(X, y) for C in (0.01, 100.0))
    assert loose < tight


def test_cost_and_components_are_chosen_on_the_development_set() -> None:
    X, y = overlapping(3, 300, 40)
    dev = overlapping(3, 300, 40, seed=1)
    model = PCASVM(components=(1, 40), C=(1e-3, 1.0)).fit(X, y, *dev)
    tried = [(step["components"], step["C"]) for step in model.search_]
    assert tried[:2] == [(1, 1e-3), (1, 1.0)]
    assert tried[2][0] == 40
    assert model.components_.shape[1] == 40
    assert model.score(*dev) == pytest.approx(model.search_[2]["dev_accuracy"])


def test_without_a_development_set_the_first_of_each_is_taken() -> None:
    model = PCASVM(components=(3, 9), C=(2.0, 5.0)).fit(*overlapping(3, 100, 12))
    assert (model.components_.shape[1], model.C_, model.search_) == (3, 2.0, [])


def test_a_gain_that_chance_would_give_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 10)).astype(np.float32), rng.integers(0, 2, 200)
    model = PCASVM(components=(10,), C=(1.0, 1.02)).fit(X, y, X[:50] + 1e-3, y[:50])
    assert model.C_ == 1.0


def test_probabilities_are_calibrated_on_the_development_set() -> None:
    X, y = overlapping(4, 600, 12)
    model = PCASVM().fit(X, y, *overlapping(4, 600, 12, seed=1))
    X_new, y_new = overlapping(4, 2000, 12, seed=2)
    sure = model.predict_proba(X_new).max(axis=1).mean()
    assert sure == pytest.approx(model.score(X_new, y_new), abs=0.05)


def test_an_unknown_kernel_is_refused() -> None:
    with pytest.raises(ValueError, match="'rbf' or 'linear'"):
        PCASVM(kernel="cubic").fit(*overlapping(3, 30, 5))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"C": ()}, r"C is \(\); it must be one number or more, each above 0"),
        ({"C": (3.0, 0.0)}, r"C is \(3.0, 0.0\); it must be one number or more, each above 0"),
        ({"components": ()}, r"components is \(\); it must be one number or more, each at least 1"),
        ({"components": (8, 0)}, r"components is \(8, 0\)"),
        ({"landmarks": 0}, "landmarks is 0; it must be at least 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PCASVM(**changed).fit(*overlapping(3, 30, 5))
