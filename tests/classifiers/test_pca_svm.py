"""PCA + SVM: components, and scores in the machine's own order."""

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from classifiers import PCASVM


def overlapping(
    classes: int, count: int, features: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    rng = np.random.default_rng(0)
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
    model = PCASVM(components=components).fit(*overlapping(3, count, features))
    assert model.pca_.n_components_ == kept
    assert model.components == components


@pytest.mark.parametrize(("count", "features"), [(150, 12), (40, 60)])
@pytest.mark.parametrize("classes", [2, 4])
def test_predictions_are_those_of_scikit_learns_own_pipeline(
    classes: int, count: int, features: int
) -> None:
    X, y = overlapping(classes, count, features)
    X_new, _ = overlapping(classes, 200, features)
    plain = make_pipeline(PCA(10, svd_solver="full"), SVC(C=3.0, break_ties=classes > 2))
    found = PCASVM(components=10).fit(X, y).predict(X_new)
    assert (found == plain.fit(X, y).predict(X_new)).mean() > 0.99


def test_principal_components_come_from_the_training_set_alone() -> None:
    X, y = overlapping(3, 100, 20)
    model = PCASVM(components=5).fit(X, y, 100 * X, y)
    np.testing.assert_allclose(model.pca_.mean_, X.mean(axis=0), rtol=1e-4, atol=1e-6)


def test_a_higher_cost_fits_the_training_set_more_closely() -> None:
    X, y = overlapping(3, 150, 12)
    loose, tight = (PCASVM(C=C).fit(X, y).score(X, y) for C in (0.01, 100.0))
    assert loose < tight


def test_probabilities_rank_as_the_machines_scores_do() -> None:
    X, y = overlapping(4, 100, 20)
    model = PCASVM(components=8).fit(X, y)
    scores = model.svc_.decision_function(model.pca_.transform(X))
    np.testing.assert_array_equal(model.predict_proba(X).argsort(axis=1), scores.argsort(axis=1))
