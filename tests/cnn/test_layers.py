"""Layers: the fused ones against Keras' own, and random ones that draw from the step."""

import numpy as np

from featurestore._tensorflow import load_tensorflow

tf = load_tensorflow()
keras = tf.keras

from cnn._layers import BN_EPSILON, BN_MOMENTUM, BatchNorm, Dropout, Step  # noqa: E402


def test_batch_norm_is_keras_own_in_outputs_gradients_and_statistics() -> None:
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(3, 2, (6, 5, 5, 4)).astype(np.float32))
    weights = tf.constant(rng.normal(size=(6, 5, 5, 4)).astype(np.float32))
    ours = BatchNorm()
    theirs = keras.layers.BatchNormalization(momentum=BN_MOMENTUM, epsilon=BN_EPSILON)
    found = []
    for layer in (ours, theirs):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
            loss = tf.reduce_sum(weights * y)
        found.append((y, tape.gradient(loss, x), layer(x, training=False)))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-2)
    np.testing.assert_allclose(ours.means[0], theirs.moving_mean, rtol=1e-5)
    # The fused kernel keeps the unbiased variance, Keras the biased one.
    np.testing.assert_allclose(ours.variances[0], theirs.moving_variance, rtol=1e-2)


def test_dropout_draws_from_the_step_and_keeps_the_mean() -> None:
    step = Step(0)
    first, second = Dropout(0.25, step), Dropout(0.25, step)
    x = tf.ones((50, 200))
    one = first(x, training=True).numpy()
    np.testing.assert_array_equal(one, first(x, training=True))
    assert not np.array_equal(one, second(x, training=True))
    step.number.assign(1)
    assert not np.array_equal(one, first(x, training=True))
    assert set(np.unique(one)) == {0, np.float32(1 / 0.75)}
    assert abs(one.mean() - 1) < 0.02
    np.testing.assert_array_equal(first(x, training=False), x)


def test_seeds_of_layers_differ_from_each_other_and_between_networks() -> None:
    seeds = [Step(seed).new_seed() for seed in range(5)]
    step = Step(0)
    seeds += [step.new_seed() for _ in range(5)][1:]
    assert len(set(seeds)) == len(seeds)
