"""The 3-layer network on embeddings.

Linear-ReLU-Linear-ReLU-Linear-Softmax is the report's feature-embedding network. The preset
"report" trains it as the report did; the widths, regularisation and schedule of "default" are what
held up on a development set, each with its reason below.

Training is one compiled call an epoch with the data resident on the device: for layers this small a
step takes less time than Python needs to start one.
"""

import itertools
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from classifiers._base import Array, ClassWeight, TrainingSet, softmax
from classifiers._scaling import ScaledClassifier

# Adam's own constants, as its authors give them.
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7


class MLP(ScaledClassifier):
    """Linear-ReLU-Linear-ReLU-Linear-Softmax, trained with Adam on the cross-entropy.

    With a development set and ``patience`` the epoch with the best accuracy there is kept (of
    equals, the one with the least loss), and training stops when none was better for that long.

    Training runs in TensorFlow, on a GPU where there is one; what it leaves is plain arrays, and
    predicting needs NumPy alone.

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
        from featurestore._tensorflow import load_tensorflow

        if self.schedule not in ("cosine", "constant"):
            raise ValueError(f"schedule is {self.schedule!r}; it can be 'cosine' or 'constant'")
        tf = load_tensorflow()
        scaling = self._learn_scaling(data.X)
        rng = np.random.default_rng(self.random_state)
        layers = [tf.Variable(values) for values in self._initial(rng)]
        average = [tf.Variable(values) for values in layers] if self.averaging else layers
        targets = data.targets(self.class_weight, self.classes_)
        train_epoch = self._compile(layers, average, scaling(data.X), targets)
        evaluate = None
        if data.dev:
            evaluate = _compile_evaluation(average, scaling(data.dev[0]), data.dev[1])

        self.history_: dict[str, list[float]] = {}
        names = ("loss", "accuracy", "learning_rate")
        patience = self.patience if evaluate else None
        best_measure, best_epoch, best = (-1.0, 0.0), 0, average
        for epoch in range(1, self.epochs + 1):
            order = tf.constant(rng.permutation(len(data.X)))
            measured = dict(zip(names, train_epoch(order, epoch), strict=True))
            if evaluate:
                measured |= zip(("dev_loss", "dev_accuracy"), evaluate(), strict=True)
            for name, value in measured.items():
                self.history_.setdefault(name, []).append(float(value))
            accuracy = self.history_["dev_accuracy" if evaluate else "accuracy"][-1]
            kind = "dev" if evaluate else "train"
            data.progress(epoch, self.epochs, f"{kind} accuracy {100 * accuracy:.1f} %")
            if patience is None:
                continue
            measure = accuracy, -self.history_["dev_loss"][-1]
            if measure > best_measure:
                best_measure, best_epoch = measure, epoch
                best = [tf.identity(values) for values in average]
            elif epoch - best_epoch >= patience:
                break
        self.n_iter_ = epoch
        arrays = [values.numpy() for values in best]
        self.coefs_, self.intercepts_ = arrays[::2], arrays[1::2]

    def _initial(self, rng: np.random.Generator) -> list[Array]:
        """Return weights and biases by turns: He et al. 2015's normal, and zero."""
        widths = [len(self.mean_), *self.hidden, len(self.classes_)]
        arrays: list[Array] = []
        for inputs, outputs in itertools.pairwise(widths):
            weights = rng.normal(0, np.sqrt(2 / inputs), (inputs, outputs))
            arrays += [weights.astype(np.float32), np.zeros(outputs, np.float32)]
        return arrays

    def _compile(
        self, layers: list[Any], average: list[Any], X: Array, targets: Array
    ) -> Callable[..., Any]:
        """Return a call that trains one epoch: (order, its number from 1) -> three measures."""
        import tensorflow as tf

        features, labels = tf.constant(X), tf.constant(targets)
        answers = tf.constant(targets.argmax(axis=1), tf.int32)
        batch, rows = self.batch_size, len(X)
        steps = -(-rows // batch)
        moments = [(tf.Variable(0 * v), tf.Variable(0 * v)) for v in layers]

        def drop(x: Any, seed: Any) -> Any:
            if not self.dropout:
                return x
            return tf.nn.experimental.stateless_dropout(x, self.dropout, seed=seed)

        def rate_at(step: Any) -> Any:
            if self.schedule == "constant":
                return tf.constant(self.learning_rate)
            return self.learning_rate * (1 + tf.cos(np.pi * step / (steps * self.epochs))) / 2

        @tf.function  # type: ignore[untyped-decorator]
        def train_epoch(order: Any, epoch: Any) -> Any:
            loss_sum, hits = tf.constant(0.0), tf.constant(0.0)
            for step in tf.range(steps):
                chosen = order[step * batch : (step + 1) * batch]
                x, y = tf.gather(features, chosen), tf.gather(labels, chosen)
                done = (epoch - 1) * steps + step
                seed = tf.stack([self.random_state, 2 * done])
                with tf.GradientTape() as tape:
                    x = drop(tf.nn.relu(_linear(x, layers[:2])), seed)  # (batch, first)
                    x = drop(tf.nn.relu(_linear(x, layers[2:4])), seed + 1)  # (batch, second)
                    logits = _linear(x, layers[4:])  # (batch, classes)
                    # The bare kernel: its wrapper checks and reshapes in each step.
                    losses, _ = tf.raw_ops.SoftmaxCrossEntropyWithLogits(features=logits, labels=y)
                    loss = tf.reduce_mean(losses)
                gradients = tape.gradient(loss, layers)
                t = tf.cast(done, tf.float32)
                rate = rate_at(t)
                _adam(layers, moments, gradients, rate, t + 1)
                if self.weight_decay:
                    for weights in layers[::2]:
                        weights.assign_sub(rate * self.weight_decay * weights)
                if self.averaging:
                    # The first steps count for little: the average begins short and grows.
                    old = tf.minimum(self.averaging, (t + 1) / (t + 10))
                    for mean, layer in zip(average, layers, strict=True):
                        mean.assign(old * mean + (1 - old) * layer)
                loss_sum += tf.reduce_sum(losses)
                right = tf.math.in_top_k(tf.gather(answers, chosen), logits, 1)
                hits += tf.reduce_sum(tf.cast(right, tf.float32))
            return loss_sum / rows, hits / rows, rate_at(tf.cast(epoch * steps, tf.float32))

        # A tensor, because a Python number would be compiled into a graph of its own each time.
        return lambda order, epoch: train_epoch(order, tf.constant(epoch))

    def _predict_proba(self, X: Array) -> Array:
        x = self._scaled(X)
        for weights, bias in zip(self.coefs_[:-1], self.intercepts_[:-1], strict=True):
            x = np.maximum(x @ weights + bias, 0)
        return softmax(x @ self.coefs_[-1] + self.intercepts_[-1])


def _linear(x: Any, layer: list[Any]) -> Any:
    """Return x W + b in the form that TensorFlow turns into one kernel."""
    import tensorflow as tf

    weights, bias = layer
    return tf.nn.bias_add(tf.matmul(x, weights), bias)


def _adam(layers: list[Any], moments: list[Any], gradients: list[Any], rate: Any, t: Any) -> None:
    """Update all layers by Adam's rule (step ``t``, from 1), in one fused kernel each."""
    import tensorflow as tf

    power_1, power_2 = BETA_1**t, BETA_2**t
    for layer, (m, v), gradient in zip(layers, moments, gradients, strict=True):
        tf.raw_ops.ResourceApplyAdam(
            var=layer.handle,
            m=m.handle,
            v=v.handle,
            beta1_power=power_1,
            beta2_power=power_2,
            lr=rate,
            beta1=BETA_1,
            beta2=BETA_2,
            epsilon=EPSILON,
            grad=gradient,
        )


def _compile_evaluation(layers: list[Any], X: Array, codes: Array) -> Callable[[], Any]:
    """Return a call that measures the network as it is: () -> (loss, accuracy)."""
    import tensorflow as tf

    features, targets = tf.constant(X), tf.constant(codes)

    @tf.function  # type: ignore[untyped-decorator]
    def evaluate() -> Any:
        x = tf.nn.relu(_linear(features, layers[:2]))
        x = tf.nn.relu(_linear(x, layers[2:4]))
        logits = _linear(x, layers[4:])
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=logits)
        hits = tf.cast(tf.argmax(logits, axis=1) == targets, tf.float32)
        return tf.reduce_mean(losses), tf.reduce_mean(hits)

    return evaluate  # type: ignore[no-any-return]
