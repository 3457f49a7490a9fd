"""The 3-layer network on embeddings.

Linear-ReLU-Linear-ReLU-Linear-Softmax is the report's feature-embedding network. The preset
"report" trains it as the report did; the widths, regularisation and schedule of "default" are what
held up on a development set, each with its reason below.
"""

from typing import Any, ClassVar

import numpy as np
from threadpoolctl import threadpool_limits

from classifiers._base import TrainingSet
from classifiers._dense import Adam, DenseNetwork, backpropagate
from classifiers._inference import Array, mlp
from classifiers._scaling import ScaledClassifier
from featurestore._fitting import TrainingDivergedError, require
from featurestore._targets import ClassWeight, dev_measures

# Multiplications in a step's forward pass below which one core is as fast as all of them, and many
# times faster where cores are shared: BLAS threads wait for each other in each product.
ONE_CORE = 20_000_000


class MLP(ScaledClassifier):
    """Linear-ReLU-Linear-ReLU-Linear-Softmax, trained with Adam on the cross-entropy.

    With a development set and ``patience`` the epoch with the best accuracy there is kept (of
    equals, the one with the least loss), and training stops when none was better for that long.

    It runs on the CPU, in NumPy: layers this small gain nothing from a framework there, and a fit
    of all of FI's embeddings takes a minute or two.

    Parameters
    ----------
    hidden : (int, int)
        Widths of the hidden layers. 1024 and 512: as wide as the embedding, and half of it; half of
        both is up to a point worse on 8,890 photographs. The report's course tutorial has 25 and
        12.
    standardize : bool
        Square roots of features that are never negative, centred and divided by one number.
    dropout : float
        Share of activations dropped after each hidden layer. 0.5: a thousand features and a few
        thousand images overfit within a few epochs without.
    weight_decay : float
        Of weights, not biases, apart from the gradient (Loshchilov and Hutter 2019). Times the
        learning rate it is the share that a step takes off.
    learning_rate : float
        Of Adam, at the start. 1e-3, as Adam's authors have it; the report's 1e-4 needs its 1000
        epochs.
    schedule : {"cosine", "constant"}
        Cosine falls to 0 with the last epoch.
    averaging : float
        Share of the old average in each step's new one; the network that predicts is that average.
        0.99 is about 100 steps, which on 8,890 photographs gave a point of accuracy over the last
        step's weights. 0 is none.
    batch_size : int
    epochs : int
        The most; with a development set and ``patience`` training may end before.
    patience : int or None
        Epochs without a better dev accuracy before training stops. None: the last epoch is kept,
        and the development set is only measured.
    class_weight : {"balanced", None} or dict of float by label
        Whether each class counts the same in the loss, however many images it has.
    random_state : int

    Attributes
    ----------
    coefs_ : list of float32 (in, out), one for each layer
    intercepts_ : list of float32 (out,)
    root_, mean_, scale_ : bool, float32 (features,), float32
        How features are scaled.
    history_ : dict of list of float, by epoch
        ``loss`` and ``accuracy`` as trained, with dropout, and ``learning_rate`` at the
        epoch's end; with a development set ``dev_loss`` and ``dev_accuracy``.
    n_iter_ : int, epochs run
    """

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "default": {},
        "report": {
            "hidden": (25, 12),
            "standardize": False,
            "dropout": 0.0,
            "weight_decay": 0.0,
            "learning_rate": 1e-4,
            "schedule": "constant",
            "averaging": 0.0,
            "batch_size": 64,
            "epochs": 1000,
            "patience": None,
        },
    }
    takes_soft_labels: ClassVar[bool] = True
    _learned: ClassVar[tuple[str, ...]] = (
        *ScaledClassifier._scaling_state,
        "coefs_",
        "intercepts_",
    )

    def __init__(
        self,
        hidden: tuple[int, int] = (1024, 512),
        standardize: bool = True,
        dropout: float = 0.5,
        weight_decay: float = 0.0,
        learning_rate: float = 1e-3,
        schedule: str = "cosine",
        averaging: float = 0.99,
        batch_size: int = 128,
        epochs: int = 60,
        patience: int | None = 15,
        class_weight: ClassWeight = None,
        random_state: int = 0,
    ) -> None:
        self.hidden = hidden
        self.standardize = standardize
        self.dropout = dropout
        self.weight_decay = weight_decay
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.averaging = averaging
        self.batch_size = batch_size
        self.epochs = epochs
        self.patience = patience
        self.class_weight = class_weight
        self.random_state = random_state

    def _fit(self, data: TrainingSet) -> None:
        if self.schedule not in ("cosine", "constant"):
            raise ValueError(f"schedule is {self.schedule!r}; it can be 'cosine' or 'constant'")
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            require(value >= 1, name, value, "at least 1")
        require(min(self.hidden, default=1) >= 1, "hidden", self.hidden, "widths of at least 1")
        require(0 <= self.dropout < 1, "dropout", self.dropout, "at least 0 and below 1")
        scaling = self._learn_scaling(data.X)
        X, targets = scaling(data.X), data.targets(self.class_weight, self.classes_)
        dev = (scaling(data.dev[0]), data.dev[1]) if data.dev else None
        rng = np.random.default_rng(self.random_state)
        network = DenseNetwork([X.shape[1], *self.hidden, len(self.classes_)])
        network.initialize(rng)

        self.history_: dict[str, list[float]] = {}
        patience = self.patience if dev else None
        best_measure, best_epoch, best = (-1.0, 0.0), 0, None
        small = self.batch_size * len(network.flat) < ONE_CORE
        limited = threadpool_limits(1 if small else None, user_api="blas")
        with limited, Adam(network, self.averaging) as adam:
            for epoch in range(1, self.epochs + 1):
                measured = self._train_epoch(epoch, network, adam, X, targets, rng)
                if dev:
                    measured |= dev_measures(adam.average.probabilities(dev[0]), dev[1])
                for name, value in measured.items():
                    self.history_.setdefault(name, []).append(float(value))
                    if not np.isfinite(value):
                        raise TrainingDivergedError(
                            f"the {name} is {value} in epoch {epoch}; a lower learning_rate may "
                            "help"
                        )
                kind, name = ("dev", "dev_accuracy") if dev else ("train", "accuracy")
                accuracy = measured[name]
                data.progress(epoch, self.epochs, f"{kind} accuracy {100 * accuracy:.1f} %")
                if patience is None:
                    continue
                measure = accuracy, -measured["dev_loss"]
                if measure > best_measure:
                    best_measure, best_epoch = measure, epoch
                    best = adam.average.flat.copy()
                elif epoch - best_epoch >= patience:
                    break
        self.n_iter_ = epoch
        kept = adam.average
        if best is not None:
            kept.flat[:] = best
        self.coefs_ = [weights for weights, _ in kept.layers]
        self.intercepts_ = [bias for _, bias in kept.layers]

    def _train_epoch(
        self,
        epoch: int,
        network: DenseNetwork,
        adam: Adam,
        X: Array,
        targets: Array,
        rng: np.random.Generator,
    ) -> dict[str, float]:
        """Take one pass over X (n, features) in a new order; return what was measured."""
        gradient = DenseNetwork(network.widths)
        answers = targets.argmax(axis=1)
        rows, batch = len(X), self.batch_size
        steps = -(-rows // batch)
        order = rng.permutation(rows)
        loss, hits = 0.0, 0
        for step in range(steps):
            chosen = order[step * batch : (step + 1) * batch]
            losses, likeliest = backpropagate(
                network, gradient, X[chosen], targets[chosen], self.dropout, rng
            )
            rate = self._rate((epoch - 1 + step / steps) / self.epochs)
            adam.step(gradient, rate)
            if self.weight_decay:
                for weights, _ in network.layers:
                    weights *= 1 - rate * self.weight_decay
            loss += float(losses.sum())
            hits += int((likeliest == answers[chosen]).sum())
        rate = self._rate(epoch / self.epochs)
        return {"loss": loss / rows, "accuracy": hits / rows, "learning_rate": rate}

    def _rate(self, progress: float) -> float:
        """Return the learning rate after this share of all epochs."""
        if self.schedule == "constant":
            return self.learning_rate
        return self.learning_rate * (1 + float(np.cos(np.pi * progress))) / 2

    def _predict_proba(self, X: Array) -> Array:
        return mlp(self, X)
