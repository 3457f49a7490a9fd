"""The 3-layer network on embeddings.

Linear-ReLU-Linear-ReLU-Linear-Softmax is the report's feature-embedding network; the widths,
regularisation and schedule here are what held up on a development set, each with its reason below.

Training is one compiled call an epoch with the data resident on the device: for layers this small a
step takes less time than Python needs to start one.
"""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from classifiers._base import Array, EmbeddingClassifier, center_and_spread, softmax

# Adam's own constants, as its authors give them.
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7
# Share of the old average in each step's new one. It averages over about 100 steps, which on
# embeddings of 8,890 photographs gave a point of accuracy over the last step's weights.
AVERAGING = 0.99


class MLP(EmbeddingClassifier):
    """Linear-ReLU-Linear-ReLU-Linear-Softmax, trained with Adam on the cross-entropy.

    Features are centred and divided by one number, the spread of all of them together: features
    that hardly vary say little, and dividing each by its own spread would make them as loud as the
    rest. The network that predicts is a running average of the weights. With a development set the
    epoch with the best accuracy there is kept, and training stops when none was better for
    ``patience`` epochs.

    Training runs in TensorFlow, on a GPU where there is one; what it leaves is plain arrays, and
    predicting needs NumPy alone.

    Parameters
    ----------
    hidden : (int, int)
        Widths of the hidden layers. 512 and 256: half the embedding, and half again.
    dropout : float
        Share of activations dropped after each hidden layer. 0.5: a thousand features and a few
        thousand images overfit within a few epochs without.
    learning_rate : float
        Of Adam, at the start; it falls to 0 along a cosine. 1e-3, as Adam's authors have it.
    batch_size : int
    epochs : int
        The most; with a development set training ends before.
    patience : int
        Epochs without a better dev accuracy before training stops.
    random_state : int

    Attributes
    ----------
    coefs_ : list of float32 (in, out), one for each layer
    intercepts_ : list of float32 (out,)
    mean_ : float32 (features,), of the training set
    scale_ : float32, spread of the training set around it
    history_ : dict of list of float, by epoch
        ``loss`` and ``accuracy`` as trained, with dropout; with a development set ``dev_loss`` and
        ``dev_accuracy``.
    n_iter_ : int, epochs run
    """

    def __init__(
        self,
        hidden: tuple[int, int] = (512, 256),
        dropout: float = 0.5,
        learning_rate: float = 1e-3,
        batch_size: int = 128,
        epochs: int = 60,
        patience: int = 15,
        random_state: int = 0,
    ) -> None:
        self.hidden = hidden
        self.dropout = dropout
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.epochs = epochs
        self.patience = patience
        self.random_state = random_state

    def _fit(self, X: Array, codes: Array, dev: tuple[Array, Array] | None) -> None:
        from featurestore._tensorflow import load_tensorflow

        tf = load_tensorflow()
        self.mean_, self.scale_ = center_and_spread(X)
        rng = np.random.default_rng(self.random_state)
        layers = [tf.Variable(values) for values in self._initial(rng)]
        average = [tf.Variable(values) for values in layers]
        train_epoch = self._compile(layers, average, self._scaled(X), codes)
        evaluate = _compile_evaluation(average, self._scaled(dev[0]), dev[1]) if dev else None

        self.history_: dict[str, list[float]] = {}
        best_accuracy, best_epoch, best = -1.0, 0, average
        for epoch in range(1, self.epochs + 1):
            order = tf.constant(rng.permutation(len(X)))
            measured = dict(zip(("loss", "accuracy"), train_epoch(order, epoch), strict=True))
            if evaluate:
                measured |= zip(("dev_loss", "dev_accuracy"), evaluate(), strict=True)
            for name, value in measured.items():
                self.history_.setdefault(name, []).append(float(value))
            if evaluate is None or self.history_["dev_accuracy"][-1] > best_accuracy:
                best_accuracy = self.history_.get("dev_accuracy", [0.0])[-1]
                best_epoch, best = epoch, [tf.identity(values) for values in average]
            if epoch - best_epoch >= self.patience:
                break
        self.n_iter_ = epoch
        arrays = [np.array(values) for values in best]
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
        self, layers: list[Any], average: list[Any], X: Array, codes: Array
    ) -> Callable[..., Any]:
        """Return a call that trains one epoch: (order, its number from 1) -> (loss, accuracy)."""
        import tensorflow as tf

        features, targets = tf.constant(X), tf.constant(codes)
        batch = min(self.batch_size, len(X))
        steps = len(X) // batch  # another few rows are left out in each epoch
        moments = [(tf.Variable(0 * v), tf.Variable(0 * v)) for v in layers]

        def drop(x: Any, seed: Any) -> Any:
            if not self.dropout:
                return x
            return tf.nn.experimental.stateless_dropout(x, self.dropout, seed=seed)

        @tf.function  # type: ignore[untyped-decorator]
        def train_epoch(order: Any, epoch: Any) -> Any:
            loss_sum, hits = tf.constant(0.0), tf.constant(0.0)
            for step in tf.range(steps):
                rows = order[step * batch : (step + 1) * batch]
                x, y = tf.gather(features, rows), tf.gather(targets, rows)
                done = (epoch - 1) * steps + step
                seed = tf.stack([self.random_state, 2 * done])
                with tf.GradientTape() as tape:
                    x = drop(tf.nn.relu(x @ layers[0] + layers[1]), seed)  # (batch, first)
                    x = drop(tf.nn.relu(x @ layers[2] + layers[3]), seed + 1)  # (batch, second)
                    logits = x @ layers[4] + layers[5]  # (batch, classes)
                    loss = _cross_entropy(logits, y)
                gradients = tape.gradient(loss, layers)
                t = tf.cast(done, tf.float32)
                rate = self.learning_rate * (1 + tf.cos(np.pi * t / (steps * self.epochs))) / 2
                _adam(layers, moments, gradients, rate, t + 1)
                # The first steps count for little: the average begins short and grows.
                old = tf.minimum(AVERAGING, (t + 1) / (t + 10))
                for mean, layer in zip(average, layers, strict=True):
                    mean.assign(old * mean + (1 - old) * layer)
                loss_sum += loss
                hits += _accuracy(logits, y)
            return loss_sum / steps, hits / steps

        # A tensor, because a Python number would be compiled into a graph of its own each time.
        return lambda order, epoch: train_epoch(order, tf.constant(epoch))

    def _predict_proba(self, X: Array) -> Array:
        x = self._scaled(X)
        for weights, bias in zip(self.coefs_[:-1], self.intercepts_[:-1], strict=True):
            x = np.maximum(x @ weights + bias, 0)
        return softmax(x @ self.coefs_[-1] + self.intercepts_[-1])

    def _scaled(self, X: Array) -> Array:
        return np.asarray((X - self.mean_) / self.scale_, np.float32)


def _adam(layers: list[Any], moments: list[Any], gradients: list[Any], rate: Any, t: Any) -> None:
    """Update all layers by Adam's rule (step ``t``, from 1), in one fused kernel each."""
    import tensorflow as tf

    for layer, (m, v), gradient in zip(layers, moments, gradients, strict=True):
        tf.raw_ops.ResourceApplyAdam(
            var=layer.handle,
            m=m.handle,
            v=v.handle,
            beta1_power=BETA_1**t,
            beta2_power=BETA_2**t,
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
        x = tf.nn.relu(features @ layers[0] + layers[1])
        x = tf.nn.relu(x @ layers[2] + layers[3])
        logits = x @ layers[4] + layers[5]
        return _cross_entropy(logits, targets), _accuracy(logits, targets)

    return evaluate  # type: ignore[no-any-return]


def _cross_entropy(logits: Any, targets: Any) -> Any:
    import tensorflow as tf

    return tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=logits)
    )


def _accuracy(logits: Any, targets: Any) -> Any:
    import tensorflow as tf

    return tf.reduce_mean(tf.cast(tf.argmax(logits, axis=1) == targets, tf.float32))
