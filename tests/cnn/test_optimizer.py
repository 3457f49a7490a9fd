"""The fused optimizers take the steps of Keras' own."""

import numpy as np
import pytest

from featurestore._tensorflow import load_tensorflow

tf = load_tensorflow()

from cnn._optimizer import SGD, Adam  # noqa: E402


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_steps_are_keras_own(name: str) -> None:
    rng = np.random.default_rng(0)
    start = [rng.normal(size=s).astype(np.float32) for s in ((3, 4), (4,))]
    ours, theirs = ([tf.Variable(x) for x in start] for _ in range(2))
    if name == "sgd":
        optimizer = SGD(ours)
        peer = tf.keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True)
    else:
        optimizer = Adam(ours)
        peer = tf.keras.optimizers.Adam(0.1)
    for _ in range(5):
        gradients = [tf.constant(rng.normal(size=x.shape).astype(np.float32)) for x in start]
        pairs = {v.ref(): (g, 1.0) for v, g in zip(ours, gradients, strict=True)}
        optimizer.apply(pairs, tf.constant(0.1))
        peer.apply_gradients(zip(gradients, theirs, strict=True))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [SGD, Adam])
def test_rates_are_scaled_and_what_has_no_gradient_stays(kind: type) -> None:
    variables = [tf.Variable([1.0]) for _ in range(3)]
    optimizer = kind(variables)
    gradient = tf.constant([1.0])
    optimizer.apply(
        {variables[0].ref(): (gradient, 1.0), variables[1].ref(): (gradient, 0.1)},
        tf.constant(0.01),
    )
    moved = [1 - float(v[0]) for v in variables]
    assert moved[0] == pytest.approx(10 * moved[1], rel=1e-3)
    assert moved[0] > 0
    assert moved[2] == 0
