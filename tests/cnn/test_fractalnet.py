"""FractalNet: its structure, and drop-path."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from cnn import FractalNet
from featurestore._tensorflow import load_tensorflow

tf = load_tensorflow()

from cnn import _fractal  # noqa: E402
from cnn._fractal import Fractal, FractalModel, survivors  # noqa: E402
from cnn._layers import Step  # noqa: E402
from cnn.fractalnet import CHANNELS, _PathChoice  # noqa: E402


def model(channels: tuple[int, ...] = (4, 8), columns: int = 3, **changed: Any) -> FractalModel:
    settings = {"classes": 10, "drop_path": 0.15, "dropout": (0.0,) * len(channels)} | changed
    return FractalModel((16, 16, 3), channels, columns, step=Step(0), **settings)


@pytest.mark.slow
def test_the_papers_network_has_33_7_million_parameters() -> None:
    settings = {"classes": 10, "drop_path": 0.15, "dropout": (0.0,) * 5, "step": Step(0)}
    made = FractalModel((32, 32, 3), CHANNELS, 3, **settings)
    count = sum(int(np.prod(v.shape)) for v in made.trainable_variables)
    assert round(count / 1e6, 1) == 33.7


@pytest.mark.parametrize(("columns", "paths"), [(1, 1), (2, 2), (3, 5), (4, 26)])
def test_a_block_has_as_many_paths_and_convolutions_in_a_row_as_the_rule_gives(
    columns: int, paths: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With units that pass on and joins that add up, what comes out counts paths; with units that
    count and joins that take the largest, depth.
    """
    block = Fractal(columns, 1, 0.0, 0.0, Step(0))
    one = tf.ones((1, 1, 1, 1))
    monkeypatch.setattr(_fractal.Unit, "__call__", lambda self, x, training: x)
    monkeypatch.setattr(Fractal, "_join", lambda self, inputs, depth, path: tf.add_n(inputs))
    assert float(block.call(one)[0, 0, 0, 0]) == paths
    monkeypatch.setattr(_fractal.Unit, "__call__", lambda self, x, training: x + 1)
    monkeypatch.setattr(
        Fractal, "_join", lambda self, inputs, depth, path: tf.reduce_max(tf.stack(inputs), axis=0)
    )
    assert float(block.call(0 * one)[0, 0, 0, 0]) == 2 ** (columns - 1)


def test_the_survivors_of_a_join_are_never_none_and_share_it_evenly() -> None:
    shares = np.array([survivors(3, 0.6, tf.constant([i, 0])) for i in range(400)])
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
    for row in shares:
        alive = row[row > 0]
        np.testing.assert_allclose(alive, 1 / len(alive), rtol=1e-6)
    assert set(np.unique((shares > 0).sum(axis=1))) == {1, 2, 3}
    # So the expected value of a join is the mean of its inputs.
    np.testing.assert_allclose(shares.mean(axis=0), 1 / 3, atol=0.05)


def test_inputs_are_dropped_with_the_probability_given() -> None:
    dropped = np.array([survivors(2, 0.15, tf.constant([i, 0])) for i in range(1000)]) == 0
    # One that would be dropped survives in half of the cases in which both would be.
    assert dropped.mean() == pytest.approx(0.15 - 0.15**2 / 2, abs=0.02)


def test_global_drop_path_is_one_column_and_nothing_else() -> None:
    made = model()
    x = tf.random.stateless_normal((2, 16, 16, 3), [0, 0])
    before = {c: made(x, training=True, path=c).numpy() for c in range(3)}
    for block in made._blocks:  # spoil the middle column
        for unit in block._units[1]:
            kernel = unit._conv.kernel
            kernel.assign(kernel + 1)
    for column in (0, 2):
        np.testing.assert_array_equal(made(x, training=True, path=column), before[column])
    assert not np.array_equal(made(x, training=True, path=1), before[1])


def test_half_of_the_mini_batches_are_local_and_columns_take_turns() -> None:
    choose = _PathChoice(3, seed=0)
    counts = Counter(choose(number) for number in range(3000))
    assert counts["local"] / 3000 == pytest.approx(0.5, abs=0.04)
    for column in range(3):
        assert counts[column] / 3000 == pytest.approx(1 / 6, abs=0.03)
    assert [choose(i) for i in range(20)] == [_PathChoice(3, seed=0)(i) for i in range(20)]


@pytest.mark.slow
@pytest.mark.parametrize("path", ["local", 0, 1, 2])
def test_gradients_at_the_start_are_finite_and_of_sane_size(path: str | int) -> None:
    made = model((8, 16, 16))
    x = tf.random.stateless_normal((32, 16, 16, 3), [1, 0])
    y = tf.range(32) % 10
    with tf.GradientTape() as tape:
        logits = made(x, training=True, path=path)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)
        loss = tf.reduce_mean(losses)
    gradients = [
        g for g in tape.gradient(loss, [v.value for v in made.trainable_variables]) if g is not None
    ]
    assert 1.5 < float(loss) < 5  # around ln(10)
    norms = np.array([float(tf.norm(g)) for g in gradients])
    assert np.isfinite(norms).all()
    assert 0.05 < np.sqrt((norms**2).sum()) < 50
    if path != "local":  # a column's first kernels learn too
        assert norms.min() > 1e-4


@pytest.mark.slow
def test_the_loss_leaves_chance_within_100_steps() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, 400)
    X = rng.integers(0, 120, (400, 16, 16, 3), dtype=np.uint8)
    for k in range(4):  # each class is brighter in a corner of its own
        X[y == k, 8 * (k // 2) : 8 * (k // 2) + 8, 8 * (k % 2) : 8 * (k % 2) + 8] += 60
    made = FractalNet(
        columns=2,
        channels=(8, 8),
        dropout=(0.0, 0.0),
        epochs=5,
        batch_size=20,
        shift=0,
        flip=False,
        label_smoothing=0.0,
    ).fit(X, y)
    assert made.history_["loss"][0] < np.log(4) + 0.5
    assert made.history_["loss"][-1] < 0.5 * np.log(4)


@pytest.mark.slow
def test_the_whole_has_statistics_of_what_it_sees_and_columns_their_own() -> None:
    """A mean of columns varies less than a column: one set of statistics would fit neither."""
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 256, (400, 16, 16, 3), dtype=np.uint8), np.arange(400) % 2
    made = FractalNet(columns=2, channels=(8, 8), dropout=(0.0, 0.0), epochs=8, batch_size=50)
    made.fit(X, y)
    network = made._network()

    def logits(**how: Any) -> Any:
        for variable, value in zip(network.variables, made.weights_, strict=True):
            variable.assign(value)
        return network.model(network.prepare(X), **how).numpy()

    by_batch = logits(training=True)
    assert np.abs(logits() - by_batch).mean() < 0.1 * by_batch.std()
    norm = network.model._blocks[1]._units[1][1]._norm
    whole, column = norm.variances[0].numpy(), norm.variances[2].numpy()
    assert not np.allclose(column, whole, rtol=0.03)


@pytest.mark.slow
def test_each_column_predicts_alone_and_differently() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 256, (40, 16, 16, 3), dtype=np.uint8), np.arange(40) % 2
    made = FractalNet(columns=2, channels=(4, 4), dropout=(0.0, 0.0), epochs=1, batch_size=20)
    made.fit(X, y)
    whole = made.predict_proba(X)
    columns = [made.predict_column_proba(X, c) for c in range(2)]
    for found in columns:
        np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
        assert not np.array_equal(found, whole)
    assert not np.array_equal(*columns)
    with pytest.raises(ValueError, match="column is 2; there are 0 to 1"):
        made.predict_column_proba(X, 2)


@pytest.mark.slow
def test_without_a_gpu_it_has_a_quarter_of_the_papers_channels() -> None:
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("there is a GPU")
    made = FractalNet()
    made.classes_, made.image_shape_ = np.arange(3), (32, 32, 3)
    made.mean_, made.scale_ = np.zeros(3, np.float32), np.ones(3, np.float32)
    made._network()
    assert made.channels_ == tuple(c // 4 for c in CHANNELS)
