"""Gradient-boosted trees on embeddings."""

import os
from typing import Any, ClassVar

import numpy as np

from classifiers._base import EmbeddingClassifier, TrainingSet
from classifiers._inference import Array

MIN_FEATURES = 32  # that a tree is shown


class LightGBM(EmbeddingClassifier):
    """LightGBM's multiclass boosting, stopped early on the development set.

    Trees choose among single features, and each of an embedding's says little. So many shallow
    trees, each shown a part of the features, do better than few deep ones, and cost less. The
    preset "report" is LightGBM as it comes.

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
    l2 : float
        Penalty on a leaf's value.
    patience : int or None
        Rounds without a lower loss on the development set before training stops. None: all rounds
        are kept.
    random_state : int

    Attributes
    ----------
    model_text_ : str, in LightGBM's own format
    n_iter_ : int, rounds kept
    history_ : dict of list of float, by round
        ``loss``, ``accuracy`` and ``learning_rate``; with a development set ``dev_loss`` and
        ``dev_accuracy``.
    """

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "default": {},
        "report": {
            "rounds": 100,
            "leaves": 31,
            "feature_fraction": 1.0,
            "bins": 255,
            "l2": 0.0,
            "patience": None,
        },
    }
    _learned: ClassVar[tuple[str, ...]] = ("model_text_",)

    def __init__(
        self,
        rounds: int = 300,
        learning_rate: float = 0.1,
        leaves: int = 15,
        feature_fraction: float = 0.1,
        bins: int = 63,
        l2: float = 1.0,
        patience: int | None = 30,
        random_state: int = 0,
    ) -> None:
        self.rounds = rounds
        self.learning_rate = learning_rate
        self.leaves = leaves
        self.feature_fraction = feature_fraction
        self.bins = bins
        self.l2 = l2
        self.patience = patience
        self.random_state = random_state

    def _fit(self, data: TrainingSet) -> None:
        import lightgbm

        X, dev = data.X, data.dev

        settings: dict[str, Any] = {
            "objective": "multiclass",
            "num_class": len(self.classes_),
            "metric": ["multi_logloss", "multi_error"],
            "learning_rate": self.learning_rate,
            "num_leaves": self.leaves,
            "feature_fraction": min(1.0, max(self.feature_fraction, MIN_FEATURES / X.shape[1])),
            "max_bin": self.bins,
            "min_data_in_leaf": min(20, max(1, len(X) // 20)),
            "lambda_l2": self.l2,
            "seed": self.random_state,
            # The same seed gives the same trees.
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": os.cpu_count() or 1,
            "verbosity": -1,
        }
        train = lightgbm.Dataset(X, data.codes, params=settings, free_raw_data=True)
        sets, names = [train], ["train"]
        if dev:
            sets.append(lightgbm.Dataset(dev[0], dev[1], reference=train))
            names.append("dev")
        measured: dict[str, Any] = {}
        callbacks = [lightgbm.record_evaluation(measured), self._told(data)]
        if dev and self.patience is not None:
            # The training set is measured too, and doesn't count.
            callbacks.append(
                lightgbm.early_stopping(self.patience, first_metric_only=True, verbose=False)
            )
        booster = lightgbm.train(settings, train, self.rounds, sets, names, callbacks=callbacks)
        self.n_iter_ = booster.best_iteration if booster.best_iteration > 0 else self.rounds
        self.model_text_ = booster.model_to_string(num_iteration=self.n_iter_)
        self.history_: dict[str, list[float]] = {}
        for name, prefix in zip(names, ("", "dev_"), strict=False):
            curves = measured[name]
            self.history_[f"{prefix}loss"] = [float(loss) for loss in curves["multi_logloss"]]
            self.history_[f"{prefix}accuracy"] = [1 - float(e) for e in curves["multi_error"]]
        self.history_["learning_rate"] = [self.learning_rate] * len(self.history_["loss"])

    def _told(self, data: TrainingSet) -> Any:
        """Return a callback that passes on how far training is."""

        def tell(env: Any) -> None:
            *_, (name, _, error, *_) = env.evaluation_result_list
            done = env.iteration + 1
            data.progress(done, self.rounds, f"{name} accuracy {100 * (1 - error):.1f} %")

        return tell

    def _predict_proba(self, X: Array) -> Array:
        import lightgbm

        return np.asarray(lightgbm.Booster(model_str=self.model_text_).predict(X))
