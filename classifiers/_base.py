"""What all classifiers on embeddings share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from classifiers._inference import Array
from featurestore._fitting import TrainableModel, dev_codes, label_codes
from featurestore._targets import ClassWeight, check_soft_labels, training_targets

# Called while fitting: (steps done, steps at most, what is going on).
Progress = Callable[[int, int, str], None]


def silent(done: int, total: int, text: str) -> None:
    """Ignore progress."""


@dataclass(frozen=True)
class TrainingSet:
    """What ``_fit`` learns from, checked.

    Attributes
    ----------
    X : float32 (n, features)
    codes : int (n,), positions in ``classes_``
    soft : float32 (n, classes), rows that add up to 1, or None
    dev : (float32 (m, features), int (m,)) or None
    progress : Progress
    """

    X: Array
    codes: Array
    soft: Array | None
    dev: tuple[Array, Array] | None
    progress: Progress

    def targets(self, class_weight: ClassWeight, classes: Array) -> Array:
        """Return what to learn, float32 (n, classes): soft or one-hot labels, times weights."""
        return training_targets(self.codes, self.soft, class_weight, classes)


class EmbeddingClassifier(TrainableModel):
    """A classifier of embeddings; a subclass brings ``_fit`` and ``_predict_proba``.

    The constructor stores parameters and does nothing else. ``fit`` checks its input, learns, and
    returns the classifier; what it learned ends in an underscore. If it fails, nothing is learned:
    what an earlier fit did is gone too.

    Attributes
    ----------
    classes_ : (classes,)
        The labels seen in training, sorted.
    n_features_in_ : int
    presets : dict of dict
        Parameters by the name of a preset: ``MLP(**MLP.presets["report"])``.
    takes_soft_labels : bool
    """

    presets: ClassVar[dict[str, dict[str, Any]]] = {"default": {}}
    takes_soft_labels: ClassVar[bool] = False
    # Names of the arrays, numbers and texts that are all that predicting needs.
    _learned: ClassVar[tuple[str, ...]] = ()

    def fit(
        self,
        X: Array,
        y: Array,
        X_dev: Array | None = None,
        y_dev: Array | None = None,
        *,
        soft_labels: Array | None = None,
        progress: Progress = silent,
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
            Its labels; neither is given without the other.
        soft_labels : float (n, classes), optional
            The share of people who chose each label, to learn from instead of ``y``; columns in the
            order of the sorted labels of ``y``. Rows are divided by their sum.
        progress : callable
            Told (steps done, steps at most, text) while fitting.

        Raises
        ------
        ValueError
            If X holds NaN or infinity, shapes don't fit, there is only one class, or this
            classifier can't learn from soft labels.
        ArithmeticError
            If a network's loss is not a number any more.
        """
        self._forget()
        name = type(self).__name__
        X, y = validate_data(self, X, y, dtype=np.float32, ensure_min_samples=2)
        classes, codes = label_codes(y, name)
        soft = None
        if soft_labels is not None:
            if not self.takes_soft_labels:
                raise ValueError(f"{name} can't learn from soft labels")
            soft = check_soft_labels(soft_labels, len(X), classes)
        dev = None
        found = dev_codes(X_dev, y_dev, classes)
        if found:
            known, held = found
            X_dev = validate_data(self, np.asarray(X_dev)[known], dtype=np.float32, reset=False)
            dev = (X_dev, held)
        self.classes_ = classes
        self._fit(TrainingSet(X, codes, soft, dev, progress))
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

    def saved_names(self) -> tuple[str, ...]:
        """Return the names of the attributes that a saved model consists of."""
        return ("classes_", "n_features_in_", *self._learned)

    def _fit(self, data: TrainingSet) -> None:
        """Learn into attributes, among them ``_learned``; ``classes_`` is there."""
        raise NotImplementedError

    def _predict_proba(self, X: Array) -> Array:
        """Return float (n, classes) for float32 X (n, features)."""
        raise NotImplementedError
