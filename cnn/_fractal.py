"""The layers of a FractalNet. Importing this module loads TensorFlow."""

from typing import Any

import keras
import tensorflow as tf

from cnn._layers import BatchNorm, Dropout, Step, conv_layer, dense_layer

Route = str | int  # "all", "local" or a column


class FractalModel(keras.Model):  # type: ignore[misc]
    """From float (batch, *shape) to logits (batch, classes).

    Parameters
    ----------
    shape : (side, side, 3)
    channels, dropout : tuple
        Of each block.
    columns, classes : int
    drop_path : float
    step : Step
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        channels: tuple[int, ...],
        columns: int,
        classes: int,
        drop_path: float,
        dropout: tuple[float, ...],
        step: Step,
    ) -> None:
        super().__init__()
        self._blocks = [
            Fractal(columns, filters, drop_path, rate, step)
            for filters, rate in zip(channels, dropout, strict=True)
        ]
        self._pools = [keras.layers.MaxPooling2D(2, padding="same") for _ in channels]
        self._classify = dense_layer(classes, step)
        self(tf.zeros((1, *shape)))  # makes the weights

    def call(self, x: Any, training: bool = False, path: Route = "all") -> Any:
        """Return logits; ``path`` is "all", "local" or the only column to go through."""
        for block, pool in zip(self._blocks, self._pools, strict=True):
            x = pool(block(x, training=training, path=path))
        return self._classify(tf.reduce_mean(x, axis=(1, 2)))


class Fractal(keras.layers.Layer):  # type: ignore[misc]
    """One block: (batch, h, w, any) to (batch, h, w, filters)."""

    def __init__(
        self, columns: int, filters: int, drop_path: float, dropout: float, step: Step
    ) -> None:
        super().__init__()
        self._drop_path, self._step = drop_path, step
        self._depth = 2 ** (columns - 1)
        self._columns = columns
        # By column: its units from input to output.
        self._units = [
            [Unit(filters, dropout, 1 + columns, step) for _ in range(2**c)] for c in range(columns)
        ]
        self._seeds = {depth: step.new_seed() for depth in range(1, self._depth + 1)}

    def call(self, x: Any, training: bool = False, path: Route = "all") -> Any:
        """Return the last join."""
        if isinstance(path, int):
            for unit in self._units[path]:
                x = unit(x, training=training, route=1 + path)
            return x
        seen = [x] * self._columns  # what each column's next unit sees
        for depth in range(1, self._depth + 1):
            # A unit of column c spans 2 ** (columns - 1 - c) of the deepest column's.
            ending = [c for c in range(self._columns) if depth % (self._depth >> c) == 0]
            outputs = [
                self._units[c][depth // (self._depth >> c) - 1](seen[c], training=training)
                for c in ending
            ]
            joined = self._join(outputs, depth, path)
            for c in ending:
                seen[c] = joined
        return seen[0]

    def _join(self, inputs: list[Any], depth: int, path: Route) -> Any:
        """Return the mean of those inputs (batch, h, w, filters) that survive."""
        if len(inputs) == 1:
            return inputs[0]
        if path == "all":
            return tf.add_n(inputs) / len(inputs)
        shares = survivors(len(inputs), self._drop_path, self._step.seed(self._seeds[depth]))
        shares = tf.cast(shares, inputs[0].dtype)
        return tf.add_n([shares[i] * x for i, x in enumerate(inputs)])


class Unit(keras.layers.Layer):  # type: ignore[misc]
    """Convolution, dropout, batch normalisation, ReLU: as the authors' own generator has it."""

    def __init__(self, filters: int, dropout: float, routes: int, step: Step) -> None:
        super().__init__()
        self._conv = conv_layer(filters, 3, 1, step)
        self._dropout = Dropout(dropout, step)
        self._norm = BatchNorm(routes)

    def call(self, x: Any, training: bool = False, route: int = 0) -> Any:
        """Return (batch, h, w, filters); ``route`` is 0 for joins, 1 + c for column c alone."""
        x = self._dropout(self._conv(x), training=training)
        return tf.nn.relu(self._norm(x, training=training, route=route))


def survivors(count: int, drop: float, seed: Any) -> Any:
    """Return each input's share of a join, float32 (count,): 0 for the dropped; they add up to 1.

    Each is dropped with probability ``drop``; where that leaves none, one of them survives.
    """
    draws = tf.random.stateless_uniform([count], seed)
    lone = tf.random.stateless_uniform([], seed + tf.constant([1, 0]), 0, count, tf.int32)
    alive = tf.cast(draws >= drop, tf.float32)
    alive = tf.where(tf.reduce_any(alive > 0), alive, tf.one_hot(lone, count))
    return alive / tf.reduce_sum(alive)
