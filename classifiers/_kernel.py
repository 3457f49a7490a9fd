"""Least-squares support vector machines with an RBF kernel, in time proportional to the rows."""

import numpy as np
import scipy.linalg

from classifiers._inference import Array, blocks, rbf

JITTER = 1e-6  # of the largest on the diagonal: rounding leaves no system quite definite


class LeastSquaresSVM:
    """A least-squares SVM whose solution is spanned by landmarks, for several costs C.

    Minimises w' K w / 2 + C / 2 sum((y - b - f(x))²) one against the rest (Suykens and Vandewalle
    1999), with f in the span of the kernel at ``landmarks`` (Nyström; Williams and Seeger 2001).
    With all rows as landmarks that is the exact machine. The cost is one pass over the rows, plus
    one triangular solution for each C.

    Parameters
    ----------
    X : float32 (n, d)
    codes : int (n,)
    classes : int
    landmarks : float32 (m, d)
    gamma : float

    Attributes
    ----------
    bias : float32 (classes,)
    """

    def __init__(
        self, X: Array, codes: Array, classes: int, landmarks: Array, gamma: float
    ) -> None:
        targets = np.where(np.arange(classes) == codes[:, None], 1, -1).astype(np.float32)
        self.bias = targets.mean(axis=0)
        m = len(landmarks)
        self._gram = np.zeros((m, m))
        self._right = np.zeros((m, classes))
        for rows in blocks(len(X)):
            part = rbf(X[rows], landmarks, gamma)  # (rows, m)
            self._gram += part.T @ part
            self._right += part.T @ (targets[rows] - self.bias)
        precise = landmarks.astype(np.float64)
        self._kernel = rbf(precise, precise, gamma)

    def solve(self, C: float) -> Array:
        """Return weights, float32 (m, classes), of the landmarks' kernel values."""
        jitter = JITTER
        while True:
            system = self._gram + self._kernel / C
            diagonal = system.ravel()[:: len(system) + 1]
            diagonal += jitter * diagonal.max()
            try:
                # The transpose is the same matrix in the order that LAPACK needs no copy of.
                factor = scipy.linalg.cho_factor(system.T, overwrite_a=True, check_finite=False)
            except np.linalg.LinAlgError:  # landmarks that all but coincide
                jitter *= 100
            else:
                return np.asarray(scipy.linalg.cho_solve(factor, self._right), np.float32)
