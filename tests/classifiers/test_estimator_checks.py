"""scikit-learn's own checks of an estimator, as far as they apply."""

from collections.abc import Callable

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from classifiers import MLP, PCASVM, EmbeddingClassifier, LightGBM, LinearProbe

MODELS = (
    MLP(hidden=(32, 16), dropout=0.1, learning_rate=0.005, epochs=30, batch_size=32),
    PCASVM(),
    LinearProbe(C=1.0),
    LightGBM(rounds=30),
)
EXPECTED = {
    "check_methods_subset_invariance": "float32 products of other shapes differ in the last bit"
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
@parametrize_with_checks(
    list(MODELS),
    expected_failed_checks=lambda model: EXPECTED if isinstance(model, PCASVM) else {},
)
def test_it_is_an_estimator(
    estimator: EmbeddingClassifier, check: Callable[[EmbeddingClassifier], None]
) -> None:
    check(estimator)
