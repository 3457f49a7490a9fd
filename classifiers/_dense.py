"""A network of dense layers and its training step, in NumPy.

The networks that learn from embeddings are small: with the report's 25 and 12 hidden units a step
is 7 million multiplications, and a framework takes longer to start its operations than to do them.
All parameters lie in one flat array, so that Adam's rule is a few passes over it.
"""

import itertools
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from classifiers._inference import Array, dense

# Adam's own constants, as its authors give them.
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7
# Parameters updated at once: their five arrays fit a core's cache.
CHUNK = 32_768
# A unit that no longer learns leaves moments that halve towards numbers too small for a processor's
# fast path. Every so many steps what is far too small to move a parameter becomes 0.
FLUSH_EVERY, FLUSH_BELOW = 256, 1e-24


class DenseNetwork:
    """Linear-ReLU-...-Linear-Softmax.

    Parameters
    ----------
    widths : sequence of int
        Features, hidden layers, classes.

    Attributes
    ----------
    flat : float32 (parameters,)
    layers : list of (float32 (in, out), float32 (out,))
        Weights and biases, views of ``flat``.
    """

    def __init__(self, widths: list[int]) -> None:
        self.widths = widths
        sizes = [(inputs + 1) * outputs for inputs, outputs in itertools.pairwise(widths)]
        self.flat = np.zeros(sum(sizes), np.float32)
        self.layers: list[tuple[Array, Array]] = []
        end = 0
        for inputs, outputs in itertools.pairwise(widths):
            start, end = end, end + inputs * outputs
            weights = self.flat[start:end].reshape(inputs, outputs)
            start, end = end, end + outputs
            self.layers.append((weights, self.flat[start:end]))

    def initialize(self, rng: np.random.Generator) -> None:
        """Draw weights from He et al. 2015's normal, and set biases to zero."""
        for weights, bias in self.layers:
            weights[:] = rng.normal(0, np.sqrt(2 / len(weights)), weights.shape)
            bias[:] = 0

    def probabilities(self, x: Array) -> Array:
        """Return float32 (n, classes) for float32 x (n, features)."""
        return dense(x, self.layers)


def backpropagate(
    network: DenseNetwork,
    gradient: DenseNetwork,
    x: Array,
    targets: Array,
    dropout: float = 0.0,
    rng: np.random.Generator | None = None,
) -> tuple[Array, Array]:
    """Write the gradient of the mean cross-entropy into ``gradient``.

    Parameters
    ----------
    network, gradient : DenseNetwork, of the same widths
    x : float32 (batch, features)
    targets : float32 (batch, classes)
        Shares of classes, times the weight of the row: a row need not add up to 1.
    dropout : float
        Share of hidden activations dropped, drawn from ``rng``.

    Returns
    -------
    losses : float32 (batch,)
    likeliest : int (batch,)
    """
    inputs, passed = [x], []
    for weights, bias in network.layers[:-1]:
        x = x @ weights  # (batch, width)
        x += bias
        np.maximum(x, 0, out=x)
        alive = x > 0
        if dropout and rng is not None:
            alive &= rng.random(x.shape, np.float32) >= dropout
            x *= alive
            x *= 1 / (1 - dropout)
        inputs.append(x)
        passed.append(alive)
    weights, bias = network.layers[-1]
    logits = x @ weights + bias  # (batch, classes)
    logits -= logits.max(axis=1, keepdims=True)
    powers = np.exp(logits)
    totals = powers.sum(axis=1, keepdims=True)
    losses = (targets * (np.log(totals) - logits)).sum(axis=1)

    error = powers / totals
    error *= targets.sum(axis=1, keepdims=True)
    error -= targets
    error /= len(error)  # (batch, classes)
    for index in reversed(range(len(network.layers))):
        into_weights, into_bias = gradient.layers[index]
        np.matmul(inputs[index].T, error, out=into_weights)
        np.sum(error, axis=0, out=into_bias)
        if index:
            error = error @ network.layers[index][0].T  # (batch, width before)
            error *= passed[index - 1]
            if dropout:
                error *= 1 / (1 - dropout)
    return losses, logits.argmax(axis=1)


class Adam:
    """Adam's rule (Kingma and Ba 2015) on a flat array, with an average of the parameters.

    Parameters
    ----------
    network : DenseNetwork
        Updated in place.
    averaging : float
        Share of the old average in each step's new one; 0 keeps none.

    Attributes
    ----------
    average : DenseNetwork
        The average, or the network itself.
    """

    def __init__(self, network: DenseNetwork, averaging: float) -> None:
        self.network, self.averaging = network, averaging
        self.average = network
        if averaging:
            self.average = DenseNetwork(network.widths)
            self.average.flat[:] = network.flat
        self._mean = np.zeros_like(network.flat)
        self._square = np.zeros_like(network.flat)
        self._done = 0
        parts = -(-len(network.flat) // CHUNK)
        self._chunks = [slice(i * CHUNK, (i + 1) * CHUNK) for i in range(parts)]
        # Each parameter's update depends on itself alone: threads change nothing but the time.
        self._threads = min(parts, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(self._threads) if self._threads > 1 else None

    def __enter__(self) -> "Adam":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool:
            self._pool.shutdown()

    def step(self, gradient: DenseNetwork, rate: float) -> None:
        """Move the network against ``gradient`` at the learning rate ``rate``."""
        self._done += 1
        t = self._done
        rate *= float(np.sqrt(1 - BETA_2**t) / (1 - BETA_1**t))
        # The first steps count for little: the average begins short and grows.
        old = min(self.averaging, t / (t + 9))

        def update(thread: int) -> None:
            spare = np.empty(min(CHUNK, len(gradient.flat)), np.float32)
            for chunk in self._chunks[thread :: self._threads]:
                self._update(chunk, gradient.flat[chunk], rate, old, spare)

        if t % FLUSH_EVERY == 0:
            for moment in (self._mean, self._square):
                moment[np.abs(moment) < FLUSH_BELOW] = 0
        if self._pool:
            list(self._pool.map(update, range(self._threads)))
        else:
            update(0)

    def _update(self, chunk: slice, gradient: Array, rate: float, old: float, spare: Array) -> None:
        parameters, mean, square = (
            array[chunk] for array in (self.network.flat, self._mean, self._square)
        )
        spare = spare[: len(parameters)]
        np.subtract(gradient, mean, out=spare)
        spare *= 1 - BETA_1
        mean += spare
        np.multiply(gradient, gradient, out=spare)
        spare -= square
        spare *= 1 - BETA_2
        square += spare
        np.sqrt(square, out=spare)
        spare += EPSILON
        np.divide(mean, spare, out=spare)
        spare *= rate
        parameters -= spare
        if self.averaging:
            average = self.average.flat[chunk]
            np.subtract(parameters, average, out=spare)
            spare *= 1 - old
            average += spare
