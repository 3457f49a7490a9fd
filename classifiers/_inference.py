"""From embeddings to probabilities: what predicting needs of each classifier, in NumPy alone.

The classifiers predict by these functions, and so does ``load_for_prediction``, which loads no
scikit-learn: that takes a second, in which many images could have been told.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from featurestore._model_file import read_model

Array = npt.NDArray[Any]
BLOCK = 4096  # rows at a time, so that what is in between takes megabytes and not gigabytes


def softmax(scores: Array) -> Array:
    """Return probabilities (n, classes) from scores (n, classes)."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def scale(X: Array, root: bool, mean: Array, scale: np.float32) -> Array:
    """Return float32 X (n, features), scaled as a ``Scaling`` has learned."""
    scaled = np.empty(X.shape, np.float32)
    for rows in blocks(len(X)):
        # A new image's feature may be negative where none was in training.
        part = np.sqrt(np.maximum(X[rows], 0)) if root else X[rows]
        scaled[rows] = (part - mean) / scale
    return scaled


def dense(x: Array, layers: list[tuple[Array, Array]]) -> Array:
    """Return the probabilities, float32 (n, classes), that layers give float32 x (n, features)."""
    for weights, bias in layers[:-1]:
        x = np.maximum(x @ weights + bias, 0)
    weights, bias = layers[-1]
    return softmax(x @ weights + bias)


def rbf(X: Array, centers: Array, gamma: float) -> Array:
    """Return exp(-gamma |x - c|²), (n, m), of X (n, d) and centers (m, d)."""
    squares = (X * X).sum(axis=1)[:, None] + (centers * centers).sum(axis=1)
    squares -= 2 * X @ centers.T
    np.maximum(squares, 0, out=squares)
    squares *= -gamma
    return np.asarray(np.exp(squares, out=squares))


def blocks(n: int) -> Iterator[slice]:
    """Yield slices of some thousand rows that cover ``n``."""
    for start in range(0, n, BLOCK):
        yield slice(start, start + BLOCK)


def machine_scores(Z: Array, landmarks: Array, gamma: float, weights: Array, bias: Array) -> Array:
    """Return scores (n, classes) for components Z (n, k)."""
    scores = np.empty((len(Z), len(bias)), np.float32)
    for rows in blocks(len(Z)):
        part = Z[rows]
        scores[rows] = (rbf(part, landmarks, gamma) if len(landmarks) else part) @ weights + bias
    return scores


def mlp(model: Any, X: Array) -> Array:
    """Return the probabilities (n, classes) of an MLP for float32 X (n, features)."""
    return dense(_scaled(model, X), list(zip(model.coefs_, model.intercepts_, strict=True)))


def pca_svm_scores(model: Any, X: Array) -> Array:
    """Return the scores (n, classes) of a PCASVM for float32 X (n, features)."""
    Z = (_scaled(model, X) - model.center_) @ model.components_
    return machine_scores(Z, model.landmarks_, model.gamma_, model.weights_, model.bias_)


def pca_svm(model: Any, X: Array) -> Array:
    """Return the probabilities (n, classes) of a PCASVM for float32 X (n, features)."""
    return softmax(model.sharpness_ * pca_svm_scores(model, X).astype(np.float64))


def linear_probe(model: Any, X: Array) -> Array:
    """Return the probabilities (n, classes) of a LinearProbe for float32 X (n, features)."""
    return softmax(_scaled(model, X) @ model.coef_.T + model.intercept_)


def _scaled(model: Any, X: Array) -> Array:
    return scale(X, model.root_, model.mean_, model.scale_)


class Predicting(Protocol):
    """A classifier as far as predicting goes.

    Attributes
    ----------
    classes_ : (classes,)
    """

    classes_: Array

    def predict_proba(self, X: Array) -> Array:
        """Return probabilities (n, classes) of float32 X (n, features)."""


_FUNCTIONS: dict[str, Callable[[Any, Array], Array]] = {
    "MLP": mlp,
    "PCASVM": pca_svm,
    "LinearProbe": linear_probe,
}


class _Saved:
    """What was read of a model, and the function of its kind."""

    def __init__(self, values: dict[str, Any], function: Callable[[Any, Array], Array]) -> None:
        self.classes_: Array = values["classes_"]
        self._values, self._function = SimpleNamespace(**values), function

    def predict_proba(self, X: Array) -> Array:
        """Return probabilities (n, classes) of float32 X (n, features)."""
        return self._function(self._values, X)


def load_for_prediction(
    path: str | Path,
    *,
    fingerprint: str | None = None,
    label_names: Sequence[str] | None = None,
) -> Predicting:
    """Return a saved classifier that can do nothing but predict; parameters as ``load_model``.

    Raises
    ------
    FileNotFoundError
    SavedModelError
        If the file holds no model, or one of another store or with other labels.
    """
    file = read_model(path, fingerprint, label_names)
    if file.name in _FUNCTIONS:
        return _Saved(file.values, _FUNCTIONS[file.name])
    from classifiers._saved import load_model

    found: Predicting = load_model(path, fingerprint=fingerprint, label_names=label_names)
    return found
