"""The network of dense layers: its gradient, and Adam's rule."""

import numpy as np
import pytest

from classifiers._dense import CHUNK, Adam, DenseNetwork, backpropagate


def network(widths: list[int], seed: int = 0) -> DenseNetwork:
    made = DenseNetwork(widths)
    made.initialize(np.random.default_rng(seed))
    return made


def weighted_targets() -> np.ndarray:
    """Soft labels of 6 rows in 4 classes, times a weight of the row: they don't add up to 1."""
    rng = np.random.default_rng(1)
    soft = rng.dirichlet(np.ones(4), 6)
    return np.asarray(soft * rng.uniform(0.2, 5, (6, 1)), np.float32)


@pytest.mark.parametrize("targets", [np.eye(4, dtype=np.float32)[[0, 1, 2, 3, 0, 1]], None])
def test_gradients_are_those_of_the_mean_loss(targets: np.ndarray | None) -> None:
    """Against central differences in float64, for every parameter."""
    if targets is None:
        targets = weighted_targets()
    net = network([5, 7, 6, 4])
    net.flat += np.random.default_rng(3).normal(0, 0.1, len(net.flat)).astype(np.float32)
    x = np.random.default_rng(2).normal(size=(6, 5)).astype(np.float32)
    gradient = DenseNetwork(net.widths)
    losses, likeliest = backpropagate(net, gradient, x, targets)

    wide = DenseNetwork(net.widths)
    wide.flat = net.flat.astype(np.float64)

    def loss() -> float:
        end, values = 0, x.astype(np.float64)
        for inputs, outputs in ((5, 7), (7, 6), (6, 4)):
            weights = wide.flat[end : end + inputs * outputs].reshape(inputs, outputs)
            end += inputs * outputs
            values = values @ weights + wide.flat[end : end + outputs]
            end += outputs
            if outputs != 4:
                values = np.maximum(values, 0)
        log_p = values - np.log(np.exp(values).sum(axis=1, keepdims=True))
        return float(-(targets * log_p).sum(axis=1).mean())

    assert losses.mean() == pytest.approx(loss(), rel=1e-5)
    expected = np.empty(len(net.flat))
    for i in range(len(expected)):
        kept = wide.flat[i]
        wide.flat[i] = kept + 1e-6
        above = loss()
        wide.flat[i] = kept - 1e-6
        expected[i] = (above - loss()) / 2e-6
        wide.flat[i] = kept
    np.testing.assert_allclose(gradient.flat, expected, atol=2e-5)
    np.testing.assert_array_equal(likeliest, net.probabilities(x).argmax(axis=1))


def test_dropout_keeps_the_mean_and_is_in_the_gradient() -> None:
    net, gradient = network([3, 4000, 2]), DenseNetwork([3, 4000, 2])
    x, targets = np.ones((1, 3), np.float32), np.eye(2, dtype=np.float32)[:1]
    rng = np.random.default_rng(0)
    backpropagate(net, gradient, x, targets, 0.0)
    alive = gradient.layers[0][1] != 0
    backpropagate(net, gradient, x, targets, 0.75, rng)
    kept = gradient.layers[0][1] != 0
    assert not (kept & ~alive).any()
    assert kept.sum() / alive.sum() == pytest.approx(0.25, abs=0.03)


def test_adam_takes_the_steps_of_its_paper() -> None:
    """The published rule in float64, on more parameters than one chunk has."""
    widths = [200, 200, 4]
    net, gradient = network(widths), DenseNetwork(widths)
    assert len(net.flat) > CHUNK
    rng = np.random.default_rng(0)
    expected, m, v = net.flat.astype(np.float64), 0.0, 0.0
    with Adam(net, averaging=0.0) as adam:
        for t in range(1, 6):
            gradient.flat[:] = rng.normal(size=len(net.flat))
            adam.step(gradient, 1e-2)
            g = gradient.flat.astype(np.float64)
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            rate = 1e-2 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
            expected -= rate * m / (np.sqrt(v) + 1e-7)
    np.testing.assert_allclose(net.flat, expected, atol=1e-5)
    assert adam.average is net


def test_the_average_begins_short_and_follows() -> None:
    widths = [3, 4, 2]
    net, gradient = network(widths), DenseNetwork(widths)
    expected = net.flat.astype(np.float64)
    gradient.flat[:] = 1
    with Adam(net, averaging=0.5) as adam:
        for t in range(1, 30):
            adam.step(gradient, 1e-2)
            old = min(0.5, t / (t + 9))
            expected = old * expected + (1 - old) * net.flat
    np.testing.assert_allclose(adam.average.flat, expected, rtol=1e-5)


def test_units_that_learn_no_more_leave_no_numbers_too_small_to_be_fast() -> None:
    net, gradient = network([3, 4, 2]), DenseNetwork([3, 4, 2])
    gradient.flat[:] = 1
    with Adam(net, averaging=0.0) as adam:
        adam.step(gradient, 1e-3)
        gradient.flat[:] = 0
        for _ in range(1500):
            adam.step(gradient, 1e-3)
            moments = np.abs(adam._mean)
            assert not ((moments > 0) & (moments < np.finfo(np.float32).tiny)).any()
    assert np.isfinite(net.flat).all()
