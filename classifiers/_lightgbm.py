"""Gradient-boosted trees on embeddings."""

import os
from typing import Any

import numpy as np

from classifiers._base import Array, EmbeddingClassifier

MIN_FEATURES = 32  # that a tree is shown


class LightGBM(EmbeddingClassifier):
    """LightGBM's multiclass boosting, stopped early on the development set.

    Trees choose among single features, and each of an embedding's says little. So many shallow
    trees, each shown a part of the features, do better than few deep ones, and cost less.

    Parameters
    ----------
    rounds : int
        Trees for each class, at most.
    learning_rate : float
        0.1: half of it gains less than half a point and takes twice as long.
    leaves : int
        Leaves of a tree.
    feature_fraction : float
        Share of the features that a tree is shown, but no fewer than 32.
    bins : int
        Steps into which a feature is divided. 63: a quarter of LightGBM's own, at no loss here.
    patience : int
        Rounds without a lower loss on the development set before training stops.
    random_state : int

    Attributes
    ----------
    booster_ : lightgbm.Booster
    n_iter_ : int, rounds kept
    history_ : dict of list of float, by round
        With a development set, ``dev_loss``.
    """

    def __init__(
        self,
        rounds: int = 300,
        learning_rate: float = 0.1,
        leaves: int = 15,
        feature_fraction: float = 0.1,
        bins: int = 63,
        patience: int = 30,
        random_state: int = 0,
    ) -> None:
        self.rounds = rounds
        self.learning_rate = learning_rate
        self.leaves = leaves
        self.feature_fraction = feature_fraction
        self.bins = bins
        self.patience = patience
        self.random_state = random_state

    def _fit(self, X: Array, codes: Array, dev: tuple[Array, Array] | None) -> None:
        import lightgbm

        settings: dict[str, Any] = {
            "objective": "multiclass",
            "num_class": len(self.classes_),
            "metric": "multi_logloss",
            "learning_rate": self.learning_rate,
            "num_leaves": self.leaves,
            "feature_fraction": min(1.0, max(self.feature_fraction, MIN_FEATURES / X.shape[1])),
            "max_bin": self.bins,
            "min_data_in_leaf": min(20, max(1, len(X) // 20)),
            "lambda_l2": 1.0,
            "seed": self.random_state,
            # The same seed gives the same trees.
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": os.cpu_count() or 1,
            "verbosity": -1,
        }
        train = lightgbm.Dataset(X, codes, params=settings, free_raw_data=True)
        measured: dict[str, Any] = {}
        callbacks = [lightgbm.record_evaluation(measured)]
        sets = []
        if dev:
            sets = [lightgbm.Dataset(dev[0], dev[1], reference=train)]
            callbacks.append(lightgbm.early_stopping(self.patience, verbose=False))
        self.booster_ = lightgbm.train(
            settings, train, self.rounds, sets, ["dev"] if dev else None, callbacks=callbacks
        )
        self.n_iter_ = self.booster_.best_iteration if dev else self.rounds
        self.history_: dict[str, list[float]] = {}
        if dev:
            self.history_["dev_loss"] = [float(loss) for loss in measured["dev"]["multi_logloss"]]

    def _predict_proba(self, X: Array) -> Array:
        return np.asarray(self.booster_.predict(X, num_iteration=self.n_iter_))
