"""What all classifiers on embeddings share."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

Array = npt.NDArray[Any]


class EmbeddingClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier of embeddings; a subclass brings ``_fit`` and ``_predict_proba``.

    The constructor stores parameters and does nothing else. ``fit`` checks its input, learns, and
    returns the classifier; what it learned ends in an underscore.

    Attributes
    ----------
    classes_ : (classes,)
        The labels seen in training, sorted.
    n_features_in_ : int
    """

    def fit(
        self, X: Array, y: Array, X_dev: Array | None = None, y_dev: Array | None = None
    ) -> Self:
        """Learn from a training set.

        Parameters
        ----------
        X : float (n, features)
        y : (n,)
        X_dev : float (m, features), optional
            A development set, for settings that are chosen while training. Its rows with labels
            that training never saw are left out.
        y_dev : (m,), optional

        Raises
        ------
        ValueError
            If X holds NaN or infinity, shapes don't fit, or there is only one class.
        """
        X, y = validate_data(self, X, y, dtype=np.float32, ensure_min_samples=2)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"{type(self).__name__} needs two classes, y holds one")
        dev = None
        if X_dev is not None and y_dev is not None:
            known = np.isin(y_dev, self.classes_)
            if known.any():
                X_dev = validate_data(self, np.asarray(X_dev)[known], dtype=np.float32, reset=False)
                dev = (X_dev, np.searchsorted(self.classes_, np.asarray(y_dev)[known]))
        self._fit(X, codes, dev)
        return self

    def predict_proba(self, X: Array) -> Array:
        """Return probabilities, float (n, classes), of float X (n, features).

        Raises
        ------
        sklearn.exceptions.NotFittedError
        ValueError
            If X holds NaN or infinity, or has another number of features.
        """
        check_is_fitted(self)
        return self._predict_proba(validate_data(self, X, dtype=np.float32, reset=False))

    def predict(self, X: Array) -> Array:
        """Return the likeliest label, (n,), for each row of float X (n, features)."""
        likeliest = self.predict_proba(X).argmax(axis=1)  # refuses if nothing was learned
        return np.asarray(self.classes_[likeliest])

    def _fit(self, X: Array, codes: Array, dev: tuple[Array, Array] | None) -> None:
        """Learn from float32 X (n, features) and int codes (n,) into ``classes_``."""
        raise NotImplementedError

    def _predict_proba(self, X: Array) -> Array:
        """Return float (n, classes) for float32 X (n, features)."""
        raise NotImplementedError


def softmax(scores: Array) -> Array:
    """Return probabilities (n, classes) from scores (n, classes)."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def center_and_spread(X: Array) -> tuple[Array, np.float32]:
    """Return the mean (features,) of X (n, features), and one number: the spread around it."""
    mean = X.mean(axis=0)
    spread = np.sqrt(np.mean((X - mean) ** 2))
    return mean, np.float32(spread if spread > 0 else 1)
