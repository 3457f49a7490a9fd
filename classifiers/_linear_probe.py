"""Multinomial logistic regression on embeddings: the linear probe of transfer-learning papers."""

from typing import Any, ClassVar

import numpy as np
from sklearn.linear_model import LogisticRegression

from classifiers._base import TrainingSet
from classifiers._inference import Array, linear_probe
from classifiers._scaling import ScaledClassifier
from featurestore._targets import ClassWeight


class LinearProbe(ScaledClassifier):
    """Logistic regression with an L2 penalty whose strength is chosen on the development set.

    The preset "report" is what is usually reported: features as they are, scikit-learn's own
    penalty, and no development set.

    Parameters
    ----------
    C : float
        Inverse strength of the penalty where it isn't chosen. 0.003: what most embeddings of a few
        thousand images end up with.
    grid : tuple of float
        Strengths tried where there is a development set, ascending; the weakest of equals loses.
        A factor of about three is as fine as a thousand images can tell apart. Empty: C it is.
    standardize : bool
        Square roots of features that are never negative, centred and divided by one number: the
        penalty then means the same for any backbone.
    max_iter : int
        Steps of L-BFGS for each.
    class_weight : {"balanced", None} or dict of float by label
        Whether each class counts the same in the loss, however many images it has.
    random_state : int
        Unused: the solution is unique. It is there because every model has one.

    Attributes
    ----------
    coef_ : float32 (classes, features)
    intercept_ : float32 (classes,)
    root_, mean_, scale_ : bool, float32 (features,), float32
        How features are scaled.
    C_ : float, the strength that was chosen
    n_iter_ : int, steps of L-BFGS, of all strengths together
    search_ : list of dict
        ``C`` and ``dev_accuracy`` of each that was tried.
    """

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "default": {},
        "report": {"C": 1.0, "grid": (), "standardize": False, "max_iter": 1000},
    }
    takes_soft_labels: ClassVar[bool] = True
    _learned: ClassVar[tuple[str, ...]] = (*ScaledClassifier._scaling_state, "coef_", "intercept_")

    def __init__(
        self,
        C: float = 0.003,
        grid: tuple[float, ...] = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1),
        standardize: bool = True,
        max_iter: int = 500,
        class_weight: ClassWeight = None,
        random_state: int = 0,
    ) -> None:
        self.C = C
        self.grid = grid
        self.standardize = standardize
        self.max_iter = max_iter
        self.class_weight = class_weight
        self.random_state = random_state

    def _fit(self, data: TrainingSet) -> None:
        scaling = self._learn_scaling(data.X)
        # scikit-learn takes no soft labels. A row with two, each with its share as its weight, has
        # the same loss.
        targets = data.targets(self.class_weight, self.classes_)
        rows, codes = np.nonzero(targets)
        weights = targets[rows, codes]
        X = scaling(data.X)
        X = X[rows] if len(rows) > len(X) else X
        X_dev = scaling(data.dev[0]) if data.dev else None

        # Each solution is where the search for the next one starts.
        model = LogisticRegression(max_iter=self.max_iter, tol=1e-3, warm_start=True)
        strengths = self.grid if data.dev and self.grid else (self.C,)
        self.search_: list[dict[str, float]] = []
        best, self.n_iter_ = -1.0, 0
        kept: Any = None
        for step, strength in enumerate(strengths, 1):
            data.progress(step - 1, len(strengths), f"C {strength:g}")
            model.set_params(C=strength).fit(X, codes, weights)
            self.n_iter_ += int(model.n_iter_.max())
            accuracy = 0.0
            if data.dev:
                accuracy = float((model.predict(X_dev) == data.dev[1]).mean())
                self.search_.append({"C": strength, "dev_accuracy": accuracy})
            if accuracy > best:
                best, self.C_ = accuracy, strength
                kept = _per_class(model)
        self.coef_, self.intercept_ = kept
        data.progress(len(strengths), len(strengths), f"C {self.C_:g}")

    def _predict_proba(self, X: Array) -> Array:
        return linear_probe(self, X)


def _per_class(model: LogisticRegression) -> tuple[Array, Array]:
    """Return weights (classes, features) and intercepts (classes,); two classes share one row."""
    coef, intercept = model.coef_.astype(np.float32), model.intercept_.astype(np.float32)
    if len(coef) == 1:  # one score, for the second class
        return np.concatenate([0 * coef, coef]), np.concatenate([0 * intercept, intercept])
    return coef.copy(), intercept.copy()
