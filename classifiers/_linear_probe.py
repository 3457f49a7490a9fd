"""Multinomial logistic regression on embeddings: the linear probe of transfer-learning papers."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from classifiers._base import Array, EmbeddingClassifier, center_and_spread, softmax


class LinearProbe(EmbeddingClassifier):
    """Logistic regression with an L2 penalty whose strength is chosen on the development set.

    Features are centred and divided by one number, as in ``MLP``: the penalty then means the same
    for any backbone, and features that hardly vary aren't made as loud as the rest.

    Parameters
    ----------
    C : float
        Inverse strength of the penalty where there is no development set. 0.003: what most
        embeddings of a few thousand images end up with.
    grid : tuple of float
        Strengths tried where there is one, ascending; the weakest of equals loses. A factor of
        about three is as fine as a development set of a thousand images can tell apart.
    max_iter : int
        Steps of L-BFGS for each.
    random_state : int
        Unused: the solution is unique. It is there because every model has one.

    Attributes
    ----------
    coef_ : float32 (classes, features)
    intercept_ : float32 (classes,)
    mean_ : float32 (features,), of the training set
    scale_ : float32, spread of the training set around it
    C_ : float, the strength that was chosen
    """

    def __init__(
        self,
        C: float = 0.003,
        grid: tuple[float, ...] = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1),
        max_iter: int = 500,
        random_state: int = 0,
    ) -> None:
        self.C = C
        self.grid = grid
        self.max_iter = max_iter
        self.random_state = random_state

    def _fit(self, X: Array, codes: Array, dev: tuple[Array, Array] | None) -> None:
        self.mean_, self.scale_ = center_and_spread(X)
        scaled = self._scaled(X)
        # Each solution is where the search for the next one starts.
        model = LogisticRegression(max_iter=self.max_iter, tol=1e-3, warm_start=True)
        best = -1.0
        for strength in self.grid if dev else (self.C,):
            model.set_params(C=strength).fit(scaled, codes)
            accuracy = float((model.predict(self._scaled(dev[0])) == dev[1]).mean()) if dev else 0.0
            if accuracy > best:
                best, self.C_ = accuracy, strength
                self.coef_, self.intercept_ = _per_class(model)

    def _predict_proba(self, X: Array) -> Array:
        return softmax(self._scaled(X) @ self.coef_.T + self.intercept_)

    def _scaled(self, X: Array) -> Array:
        return np.asarray((X - self.mean_) / self.scale_, np.float32)


def _per_class(model: LogisticRegression) -> tuple[Array, Array]:
    """Return weights (classes, features) and intercepts (classes,); two classes share one row."""
    coef, intercept = model.coef_.astype(np.float32), model.intercept_.astype(np.float32)
    if len(coef) == 1:  # one score, for the second class
        return np.concatenate([0 * coef, coef]), np.concatenate([0 * intercept, intercept])
    return coef.copy(), intercept.copy()
