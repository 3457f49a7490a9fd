"""PCA and a support vector machine on embeddings.

You et al. 2016's first baseline, "ImageNet-CNN", is a linear one-against-rest SVM on the principal
components of frozen features: the preset "report". The default has an RBF kernel and least-squares
loss. On 8,890 photographs that is as good on test as libsvm's hinge loss at 224 px and a point
better at 160 px, and its cost grows with the rows where libsvm's grows with their square.
"""

from typing import Any, ClassVar

import numpy as np
from scipy.optimize import minimize_scalar
from sklearn.decomposition import PCA
from sklearn.svm import LinearSVC

from classifiers._base import TrainingSet
from classifiers._inference import (
    Array,
    blocks,
    machine_scores,
    pca_svm,
    pca_svm_scores,
    softmax,
)
from classifiers._kernel import LeastSquaresSVM
from classifiers._scaling import ScaledClassifier
from featurestore._fitting import require


class PCASVM(ScaledClassifier):
    """Principal components, then one-against-rest support vector machines.

    Probabilities are the softmax of the scores, sharpened by one number that is chosen on the
    development set; without one they are in the right order and far too flat.

    Parameters
    ----------
    components : tuple of int
        Principal components kept, at most. With a development set another takes the first one's
        place when its accuracy there is better by half a standard error, which is more than chance
        would often give; without one the first it is. 256: a quarter of the embedding keeps nearly
        all of its variance; where images are many, or differ in little, more can help.
    C : tuple of float
        Cost of an error, chosen likewise, with the components chosen before. Anything within 3..30
        ends within half a point.
    kernel : {"rbf", "linear"}
        RBF's width is one over the components' total variance, as scikit-learn's "scale". Linear
        machines have squared hinge loss, and are liblinear's.
    landmarks : int
        Training rows, drawn at random, at which the RBF machine's kernel is placed; all rows where
        there are no more. 6,144 is as good as all of 8,890 photographs; 4,096 is up to a
        point worse.
    standardize : bool
        Square roots of features that are never negative, centred and divided by one number.
    random_state : int

    Attributes
    ----------
    root_, mean_, scale_ : bool, float32 (features,), float32
        How features are scaled.
    center_, components_ : float32 (features,), float32 (features, components)
    landmarks_ : float32 (m, components); none for a linear machine
    gamma_ : float
    weights_, bias_ : float32 (m or components, classes), float32 (classes,)
    sharpness_ : float, what scores are multiplied by before the softmax
    C_ : float
    search_ : list of dict
        ``components``, ``C`` and ``dev_accuracy`` of each that was tried.
    """

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "default": {},
        # The paper gives neither the components nor C.
        "report": {"components": (256,), "C": (1.0,), "kernel": "linear", "standardize": False},
    }
    _learned: ClassVar[tuple[str, ...]] = (
        *ScaledClassifier._scaling_state,
        *("center_", "components_", "landmarks_", "gamma_", "weights_", "bias_", "sharpness_"),
    )

    def __init__(
        self,
        components: tuple[int, ...] = (256, 512),
        C: tuple[float, ...] = (10.0, 3.0, 30.0),
        kernel: str = "rbf",
        landmarks: int = 6144,
        standardize: bool = True,
        random_state: int = 0,
    ) -> None:
        self.components = components
        self.C = C
        self.kernel = kernel
        self.landmarks = landmarks
        self.standardize = standardize
        self.random_state = random_state

    def _fit(self, data: TrainingSet) -> None:
        if self.kernel not in ("rbf", "linear"):
            raise ValueError(f"kernel is {self.kernel!r}; it can be 'rbf' or 'linear'")
        sizes_fit = min(self.components, default=0) >= 1
        require(sizes_fit, "components", self.components, "one number or more, each at least 1")
        require(min(self.C, default=0) > 0, "C", self.C, "one number or more, each above 0")
        require(self.landmarks >= 1, "landmarks", self.landmarks, "at least 1")
        scaling = self._learn_scaling(data.X)
        X = scaling(data.X)
        limit = min(X.shape[1], len(X))
        sizes = list(dict.fromkeys(min(size, limit) for size in self.components))
        costs = list(self.C)
        if data.dev is None:
            sizes, costs = sizes[:1], costs[:1]
        # The eigenvectors of the covariance: exact, and fast where there are more rows than
        # features, which for an embedding there nearly always are.
        solver = "covariance_eigh" if len(X) >= X.shape[1] else "full"
        pca = PCA(max(sizes), svd_solver=solver, random_state=self.random_state).fit(X)
        self.center_ = pca.mean_.astype(np.float32)
        basis = np.ascontiguousarray(pca.components_.T, np.float32)
        Z = self._projected(X, basis)  # (n, most components)
        del X  # as large as all embeddings, and no longer needed
        Z_dev = self._projected(scaling(data.dev[0]), basis) if data.dev else Z[:0]

        self.search_: list[dict[str, float]] = []
        trials = len(sizes) + len(costs) - 1
        # Half a standard error of an accuracy of one half; of others it is less.
        margin = 0.25 / np.sqrt(len(Z_dev)) if data.dev else 0.0
        best, self.C_ = -1.0, costs[0]
        machine: _Machine | None
        for size in sizes:
            machine = None  # its matrices are large: they go before the next one's come
            machine = self._machine(Z[:, :size], data.codes)
            for C in costs if size == sizes[0] else (self.C_,):
                data.progress(len(self.search_), trials, f"{size} components, C {C:g}")
                weights, bias = machine.solve(C)
                accuracy = 0.0
                if data.dev:
                    scores = machine.scores(Z_dev[:, :size], weights, bias)
                    accuracy = float((scores.argmax(axis=1) == data.dev[1]).mean())
                    self.search_.append({"components": size, "C": C, "dev_accuracy": accuracy})
                if best < 0 or accuracy > best + margin:
                    best, self.C_ = accuracy, C
                    self.weights_, self.bias_ = weights, bias
                    self.landmarks_, self.gamma_ = machine.landmarks, machine.gamma
                    self.components_ = basis[:, :size]
        data.progress(trials, trials, "done")
        self.components_ = np.ascontiguousarray(self.components_)
        # Last, because with it the model counts as fitted.
        held = data.dev
        self.sharpness_ = _sharpness(self._scores(held[0]), held[1]) if held else 1.0

    def _projected(self, X: Array, basis: Array) -> Array:
        """Return float32 (n, components) of scaled X (n, features)."""
        Z = np.empty((len(X), basis.shape[1]), np.float32)
        for rows in blocks(len(X)):
            np.matmul(X[rows] - self.center_, basis, out=Z[rows])
        return Z

    def _machine(self, Z: Array, codes: Array) -> "_Machine":
        kind = _Linear if self.kernel == "linear" else _Rbf
        return kind(Z, codes, len(self.classes_), self.landmarks, self.random_state)

    def _scores(self, X: Array) -> Array:
        """Return scores (n, classes) of float32 X (n, features)."""
        return pca_svm_scores(self, X)

    def _predict_proba(self, X: Array) -> Array:
        return pca_svm(self, X)


class _Machine:
    """One-against-rest machines on components Z (n, size), to be solved for any cost C."""

    def __init__(self, Z: Array, codes: Array, classes: int, landmarks: int, seed: int) -> None:
        self.size = Z.shape[1]
        self.classes = classes
        self.landmarks = np.zeros((0, self.size), np.float32)
        self.gamma = 0.0

    def solve(self, C: float) -> tuple[Array, Array]:
        """Return weights (landmarks or size, classes) and bias (classes,)."""
        raise NotImplementedError

    def scores(self, Z: Array, weights: Array, bias: Array) -> Array:
        """Return scores (n, classes)."""
        return machine_scores(Z, self.landmarks, self.gamma, weights, bias)


class _Rbf(_Machine):
    def __init__(self, Z: Array, codes: Array, classes: int, landmarks: int, seed: int) -> None:
        super().__init__(Z, codes, classes, landmarks, seed)
        variance = float(Z.var())
        self.gamma = 1 / (self.size * variance) if variance > 0 else 1.0
        if landmarks < len(Z):
            rng = np.random.default_rng(seed)
            Z_marks = Z[np.sort(rng.choice(len(Z), landmarks, replace=False))]
        else:
            Z_marks = Z
        self.landmarks = np.ascontiguousarray(Z_marks, np.float32)
        self._system = LeastSquaresSVM(Z, codes, classes, self.landmarks, self.gamma)

    def solve(self, C: float) -> tuple[Array, Array]:
        return self._system.solve(C), self._system.bias


class _Linear(_Machine):
    def __init__(self, Z: Array, codes: Array, classes: int, landmarks: int, seed: int) -> None:
        super().__init__(Z, codes, classes, landmarks, seed)
        self._parts = Z, codes, seed

    def solve(self, C: float) -> tuple[Array, Array]:
        Z, codes, seed = self._parts
        # The primal problem suits more rows than features. It draws no random numbers.
        svc = LinearSVC(C=C, dual=len(Z) < self.size, random_state=seed).fit(Z, codes)
        coef, bias = svc.coef_.astype(np.float32), svc.intercept_.astype(np.float32)
        if self.classes == 2:  # one score, for the second
            coef, bias = np.concatenate([-coef, coef]), np.concatenate([-bias, bias])
        return coef.T.copy(), bias


def _sharpness(scores: Array, codes: Array) -> float:
    """Return the factor of scores (n, classes) with the least log-loss (Guo et al. 2017)."""

    def loss(log_factor: float) -> float:
        truth = softmax(np.exp(log_factor) * scores)[np.arange(len(codes)), codes]
        return float(-np.log(np.maximum(truth, 1e-12)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 4), method="bounded").x))
