"""What is refused before training begins, and what is left of an earlier fit then."""

from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from tiny_networks import data, tiny

from cnn import FractalNet


def fitted() -> FractalNet:
    """Return a network with all that a fit leaves, though none was trained."""
    model = tiny()
    for name in ("classes_", *model.saved_names(), "history_", "n_iter_"):
        setattr(model, name, np.arange(3))
    model._ready = object()
    return model


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda X, y: (X, 0 * y), "needs two classes"),
        (lambda X, y: (X[..., 0], y), "takes uint8 images"),
        (lambda X, y: (X, y, X[:10]), "X_dev is given without y_dev; give both or none"),
        (lambda X, y: (X, y, None, y[:10]), "y_dev is given without X_dev; give both or none"),
        (lambda X, y: (X, y, X[:10], y[:9]), "X_dev has 10 rows, y_dev 9 labels"),
        (lambda X, y: (X, y, X[:10, 1:], y[:10]), "X_dev has 10 images of"),
    ],
)
def test_after_a_fit_that_was_refused_nothing_is_learned(given: Any, message: str) -> None:
    X, y = data(12)
    for model in (tiny(), fitted()):
        with pytest.raises(ValueError, match=message):
            model.fit(*given(X, y))
        with pytest.raises(NotFittedError):
            model.predict(X)
        assert vars(model).keys() - model.get_params().keys() <= {"_ready"}
        assert model._ready is None


def test_with_a_part_of_what_predicting_needs_it_is_not_fitted() -> None:
    model = fitted()
    del model.weights_
    with pytest.raises(NotFittedError):
        model.predict(data(12)[0])
