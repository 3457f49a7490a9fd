"""The MLP: its shape, its schedule, and the epoch that it keeps."""

import subprocess
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.exceptions import NotFittedError

from classifiers import MLP
from classifiers._dense import DenseNetwork

Array = npt.NDArray[np.float32]


def noise(count: int, seed: int = 0) -> tuple[Array, npt.NDArray[np.int64]]:
    """Return X and y that have nothing to do with each other."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 10)).astype(np.float32), rng.integers(0, 3, count)


def learnable(count: int, seed: int = 0) -> tuple[Array, npt.NDArray[np.int64]]:
    X, y = noise(count, seed)
    X[np.arange(count), y] += 2
    return X, y


def small(**changed: object) -> MLP:
    return MLP(**{"hidden": (16, 8), "epochs": 12, "batch_size": 32, **changed})  # type: ignore[arg-type]


def test_layers_have_the_widths_asked_for() -> None:
    model = small().fit(*learnable(60))
    assert [w.shape for w in model.coefs_] == [(10, 16), (16, 8), (8, 3)]
    assert [b.shape for b in model.intercepts_] == [(16,), (8,), (3,)]
    assert {a.dtype for a in [*model.coefs_, *model.intercepts_]} == {np.dtype(np.float32)}


def test_curves_have_a_point_for_each_epoch() -> None:
    model = small().fit(*learnable(200), *learnable(60, seed=1))
    measured = {"loss", "accuracy", "learning_rate", "dev_loss", "dev_accuracy"}
    assert set(model.history_) == measured
    assert {len(curve) for curve in model.history_.values()} == {model.n_iter_}
    assert all(type(value) is float for curve in model.history_.values() for value in curve)
    assert model.history_["loss"][-1] < model.history_["loss"][0]


def test_without_a_development_set_all_epochs_are_run() -> None:
    model = small().fit(*learnable(200))
    assert model.n_iter_ == 12
    assert set(model.history_) == {"loss", "accuracy", "learning_rate"}


def test_training_stops_when_the_development_set_gains_no_more() -> None:
    model = small(epochs=200, patience=4).fit(*noise(120), *noise(60, seed=1))
    accuracy, loss = (np.array(model.history_[f"dev_{name}"]) for name in ("accuracy", "loss"))
    best = int(np.lexsort((-loss, accuracy))[-1])
    assert model.n_iter_ == len(accuracy) == best + 1 + 4 < 200


def test_the_epoch_with_the_best_dev_accuracy_is_kept() -> None:
    X_dev, y_dev = noise(60, seed=1)
    model = small(epochs=30, learning_rate=0.01).fit(*noise(120), X_dev, y_dev)
    curve = model.history_["dev_accuracy"]
    assert curve[-1] < max(curve)
    assert model.score(X_dev, y_dev) == pytest.approx(max(curve), abs=1e-6)


def test_predictions_are_those_that_training_measured() -> None:
    X_dev, y_dev = learnable(60, seed=1)
    model = small(epochs=1).fit(*learnable(200), X_dev, y_dev)
    truth = model.predict_proba(X_dev)[np.arange(60), y_dev]
    assert -np.log(truth).mean() == pytest.approx(model.history_["dev_loss"][0], rel=1e-4)
    assert model.score(X_dev, y_dev) == pytest.approx(model.history_["dev_accuracy"][0])


def test_the_scale_and_place_of_the_features_change_nothing() -> None:
    X, y = learnable(200)
    expected = small().fit(X, y).predict_proba(X)
    found = small().fit(64 * X + 32, y).predict_proba(64 * X + 32)
    np.testing.assert_allclose(found, expected, atol=1e-2)


def test_another_seed_gives_another_network() -> None:
    X, y = learnable(60)
    one, other = small(random_state=0).fit(X, y), small(random_state=1).fit(X, y)
    assert not np.array_equal(one.coefs_[0], other.coefs_[0])


def test_dropout_is_part_of_training_only() -> None:
    X, y = learnable(200)
    without, with_half = small(dropout=0.0).fit(X, y), small(dropout=0.5).fit(X, y)
    assert without.history_["loss"][-1] < with_half.history_["loss"][-1]
    np.testing.assert_array_equal(with_half.predict_proba(X), with_half.predict_proba(X))


def test_a_batch_larger_than_the_training_set_is_the_training_set() -> None:
    X, y = learnable(50)
    whole = small(batch_size=50).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(small(batch_size=5000).fit(X, y).predict_proba(X), whole)


def test_features_far_from_all_seen_give_finite_probabilities() -> None:
    model = small().fit(*learnable(60))
    probabilities = model.predict_proba(np.full((2, 10), 1e6, np.float32))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def test_identical_rows_give_finite_probabilities() -> None:
    X, y = np.ones((20, 6), np.float32), np.arange(20) % 2
    assert np.isfinite(small().fit(X, y).predict_proba(X)).all()


def test_it_needs_no_tensorflow() -> None:
    code = (
        "import sys, numpy as np; from classifiers import MLP\n"
        "X = np.eye(4, dtype=np.float32)\n"
        "print(MLP(epochs=1).fit(X, [0, 1, 0, 1]).predict_proba(X).shape)\n"
        "print('tensorflow' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "(4, 2)\nFalse\n"


def test_the_learning_rate_falls_along_a_cosine_or_stays() -> None:
    rates = small(learning_rate=0.01).fit(*learnable(100)).history_["learning_rate"]
    expected = 0.01 * (1 + np.cos(np.pi * np.arange(1, 13) / 12)) / 2
    np.testing.assert_allclose(rates, expected, atol=1e-8)
    constant = small(learning_rate=0.01, schedule="constant").fit(*learnable(100))
    np.testing.assert_allclose(constant.history_["learning_rate"], 0.01, rtol=1e-6)
    with pytest.raises(ValueError, match="'cosine' or 'constant'"):
        small(schedule="step").fit(*learnable(100))


def test_without_patience_the_last_epoch_is_kept() -> None:
    X_dev, y_dev = noise(60, seed=1)
    model = small(epochs=30, learning_rate=0.01, patience=None).fit(*noise(120), X_dev, y_dev)
    curve = model.history_["dev_accuracy"]
    assert model.n_iter_ == len(curve) == 30
    assert curve[-1] < max(curve)
    assert model.score(X_dev, y_dev) == pytest.approx(curve[-1], abs=1e-6)


def test_weight_decay_keeps_weights_small() -> None:
    free, held = (
        small(epochs=40, weight_decay=decay).fit(*learnable(200)) for decay in (0.0, 20.0)
    )
    assert np.abs(held.coefs_[0]).mean() < 0.9 * np.abs(free.coefs_[0]).mean()


@pytest.mark.parametrize("rows", [64, 70])
def test_the_report_preset_is_plain_keras_training(rows: int) -> None:
    """The same weights, batches and rule give the same network, the last small batch included."""
    from featurestore._tensorflow import load_tensorflow

    keras = load_tensorflow().keras
    X, y = learnable(rows)
    model = MLP(**MLP.presets["report"] | {"epochs": 3}, random_state=5)
    rng = np.random.default_rng(5)
    network = keras.Sequential(
        [
            keras.Input((10,)),
            keras.layers.Dense(25, activation="relu"),
            keras.layers.Dense(12, activation="relu"),
            keras.layers.Dense(3),
        ]
    )
    start = DenseNetwork([10, 25, 12, 3])
    start.initialize(rng)
    network.set_weights([array for layer in start.layers for array in layer])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(1e-4), loss)
    for _ in range(3):
        order = rng.permutation(rows)
        network.fit(X[order], y[order], batch_size=64, shuffle=False, verbose=0)
    model.fit(X, y)
    for found, expected in zip(model.coefs_, network.get_weights()[::2], strict=True):
        np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"epochs": 0}, "epochs is 0; it must be at least 1"),
        ({"batch_size": 0}, "batch_size is 0; it must be at least 1"),
        ({"hidden": (0, 8)}, r"hidden is \(0, 8\); it must be widths of at least 1"),
        ({"dropout": 1.0}, "dropout is 1.0; it must be at least 0 and below 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changed: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(**changed).fit(*learnable(60))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of the overflow
@pytest.mark.parametrize("dev", [(), learnable(60, seed=1)], ids=["alone", "dev"])
def test_a_loss_that_is_no_number_ends_training(dev: Any) -> None:
    model = small(learning_rate=1e20)
    with pytest.raises(ArithmeticError, match=r"the loss is (nan|inf) in epoch 1; a lower learn"):
        model.fit(*learnable(200), *dev)
    with pytest.raises(NotFittedError):
        model.predict(learnable(60)[0])
