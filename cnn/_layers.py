"""Layers that the networks are built of. Importing this module loads TensorFlow.

Batch normalisation is TensorFlow's fused kernel: Keras 3 computes it from several operations, each
a pass over the activations. Whatever is random draws from the step's number instead of from a
state, so that training goes on after a stop as if there had been none.
"""

from typing import Any

import keras
import tensorflow as tf

# Share of the old statistics in the new ones, and what is added to variances. 0.9 suits epochs of
# a few dozen steps; Keras' 0.99 would still remember the initial values after the first of them.
BN_MOMENTUM, BN_EPSILON = 0.9, 1e-5


class Step:
    """The number of the training step that random layers draw from.

    Parameters
    ----------
    seed : int

    Attributes
    ----------
    number : tf.Variable, int32 ()
    drops : bool
        Whether dropout drops anything in what is compiled now.
    """

    def __init__(self, seed: int) -> None:
        self.number = tf.Variable(
            0,
            dtype=tf.int32,
            trainable=False,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )
        self.drops = True
        self._seed = seed
        self._layers = 0

    def new_seed(self) -> int:
        """Return a seed for a layer that is to draw independently of all others."""
        self._layers += 1
        return (self._seed * 100_003 + self._layers) % 2**31

    def seed(self, layer: int) -> Any:
        """Return what the layer with this seed draws from in this step, int32 (2,)."""
        return tf.stack([layer, self.number])


class BatchNorm(keras.layers.Layer):  # type: ignore[misc]
    """Batch normalisation of (batch, height, width, channels) over all but channels, fused.

    Source: Ioffe and Szegedy 2015.

    Parameters
    ----------
    routes : int
        Ways through the network, each with statistics of its own: what a unit sees in one of them
        varies more or less than in another.
    """

    def __init__(self, routes: int = 1) -> None:
        super().__init__()
        self._routes = routes

    def build(self, shape: Any) -> None:
        """Make scale and shift, and the statistics that prediction uses."""

        def add(name: str, initializer: str, trainable: bool) -> Any:
            return self.add_weight(
                shape=(shape[-1],),
                initializer=initializer,
                trainable=trainable,
                name=name,
                dtype="float32",
                autocast=False,
                # Each GPU sees its part of a batch.
                aggregation="none" if trainable else "mean",
            )

        self.gamma, self.beta = add("gamma", "ones", True), add("beta", "zeros", True)
        self.means = [add(f"mean_{i}", "zeros", False) for i in range(self._routes)]
        self.variances = [add(f"variance_{i}", "ones", False) for i in range(self._routes)]

    def call(self, x: Any, training: bool = False, route: int = 0) -> Any:
        """Normalise by the batch in training, otherwise by what training saw on that route."""
        mean, variance = self.means[route], self.variances[route]
        none = tf.constant([], tf.float32)
        found = tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=tf.convert_to_tensor(self.gamma),
            offset=tf.convert_to_tensor(self.beta),
            mean=none if training else tf.convert_to_tensor(mean),
            variance=none if training else tf.convert_to_tensor(variance),
            epsilon=BN_EPSILON,
            is_training=training,
        )
        if training:
            for kept, new in ((mean, found[1]), (variance, found[2])):
                kept.assign(BN_MOMENTUM * kept + (1 - BN_MOMENTUM) * new)
        return found[0]


class Dropout(keras.layers.Layer):  # type: ignore[misc]
    """Dropout (Srivastava et al. 2014) that draws from the step's number.

    Parameters
    ----------
    rate : float
    step : Step
    """

    def __init__(self, rate: float, step: Step) -> None:
        super().__init__()
        self._rate, self._step = rate, step
        self._layer = step.new_seed()

    def call(self, x: Any, training: bool = False) -> Any:
        """Drop a share of x (batch, ...) in training."""
        if not (training and self._rate and self._step.drops):
            return x
        return tf.nn.experimental.stateless_dropout(x, self._rate, self._step.seed(self._layer))


def conv_layer(filters: int, size: int, stride: int, step: Step) -> Any:
    """Return a convolution without bias, of same padding.

    Kernels are drawn from He et al. 2015's normal, by the step's seed.
    """
    return keras.layers.Conv2D(
        filters,
        size,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer=keras.initializers.HeNormal(seed=step.new_seed()),
    )


def dense_layer(classes: int, step: Step) -> Any:
    """Return the last layer, from (batch, channels) to logits (batch, classes), float32."""
    initializer = keras.initializers.GlorotNormal(seed=step.new_seed())
    return keras.layers.Dense(classes, kernel_initializer=initializer, dtype="float32")


def norm_relu(x: Any) -> Any:
    """Normalise x (batch, h, w, channels) and cut off what is negative."""
    return keras.layers.ReLU()(BatchNorm()(x))
