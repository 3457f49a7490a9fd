"""PCA and a support vector machine on embeddings.

You et al. 2016's first baseline, "ImageNet-CNN", is a linear one-against-rest SVM on the principal
components of frozen features. This is the same with an RBF kernel, which fits better.
"""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.svm import SVC

from classifiers._base import Array, EmbeddingClassifier, softmax


class PCASVM(EmbeddingClassifier):
    """Principal components, then an RBF support vector machine.

    Probabilities are the softmax of the machine's scores: in the right order, not calibrated.

    Features aren't scaled: those of large variance are those that tell images apart.

    Parameters
    ----------
    components : int
        Principal components kept, at most. 256: a quarter of the embedding keeps nearly all of
        its variance, and the kernel's cost falls in proportion.
    C : float
        Cost of a violated margin. 3; anything within 1..10 ends within a point.
    random_state : int

    Attributes
    ----------
    pca_ : sklearn.decomposition.PCA
    svc_ : sklearn.svm.SVC
    """

    def __init__(self, components: int = 256, C: float = 3.0, random_state: int = 0) -> None:
        self.components = components
        self.C = C
        self.random_state = random_state

    def _fit(self, X: Array, codes: Array, dev: tuple[Array, Array] | None) -> None:
        components = min(self.components, X.shape[1], len(X))
        # The eigenvectors of the covariance: exact, and fast where there are more rows than
        # features, which for an embedding there nearly always are.
        solver = "covariance_eigh" if len(X) >= X.shape[1] else "full"
        self.pca_ = PCA(components, svd_solver=solver, random_state=self.random_state)
        # One-against-one has classes * (classes - 1) / 2 machines; "ovr" turns their votes into
        # a score for each class.
        self.svc_ = SVC(
            C=self.C,
            gamma="scale",
            decision_function_shape="ovr",
            cache_size=1000,
            random_state=self.random_state,  # it draws a number, which it has no use for here
        )
        self.svc_.fit(self.pca_.fit_transform(X), codes)

    def _predict_proba(self, X: Array) -> Array:
        scores = self.svc_.decision_function(self.pca_.transform(X))
        if scores.ndim == 1:  # two classes: one score, for the second
            scores = np.stack([-scores, scores], axis=1)
        return softmax(scores)
