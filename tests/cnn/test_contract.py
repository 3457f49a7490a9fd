"""What every classifier of images keeps to: the same as those of embeddings, where it applies."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from cnn import FineTunedCNN, FractalNet, ImageClassifier, NoisyFineTunedCNN, ResNet, load_model

Array = npt.NDArray[Any]
MODELS = {
    "FractalNet": (
        FractalNet(columns=2, channels=(4, 8), dropout=(0, 0), epochs=10, batch_size=20, shift=0),
        16,
    ),
    "ResNet": (ResNet(epochs=8, batch_size=20, shift=0, learning_rate=0.03), 16),
    "FineTunedCNN": (FineTunedCNN(epochs=5, batch_size=20, shift=0), 64),
    "NoisyFineTunedCNN": (NoisyFineTunedCNN(epochs=5, batch_size=20, shift=0), 64),
}
pytestmark = pytest.mark.slow  # every model is trained once


def bands(side: int, count: int = 120, seed: int = 0, classes: int = 3) -> tuple[Array, Array]:
    """Return images of noise with a bright band that tells their class."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % classes
    X = rng.integers(0, 100, (count, side, side, 3), dtype=np.uint8)
    width = side // classes
    for k in range(classes):
        X[y == k, width * k : width * (k + 1)] += 120
    return X, y


class Case:
    """A kind of model, and one that was fitted once for all tests that only look at it."""

    def __init__(self, name: str) -> None:
        self._model, self.side = MODELS[name]
        self.fitted = self.new().fit(*self.data(), *self.data(30, seed=1))

    def new(self) -> ImageClassifier:
        fresh: ImageClassifier = clone(self._model)
        return fresh

    def data(self, count: int = 120, seed: int = 0, classes: int = 3) -> tuple[Array, Array]:
        return bands(self.side, count, seed, classes)


@pytest.fixture(scope="module", params=MODELS)
def case(request: pytest.FixtureRequest) -> Case:
    return Case(request.param)


def test_constructor_stores_its_parameters_and_nothing_else(case: Case) -> None:
    model = case.new()
    assert vars(model) == model.get_params()
    assert "random_state" in model.get_params()
    assert type(model)(**model.get_params()).get_params() == model.get_params()


def test_unfitted_it_refuses_to_predict_and_to_be_saved(case: Case, tmp_path: Path) -> None:
    model = case.new()
    with pytest.raises(NotFittedError):
        model.predict(case.data()[0])
    with pytest.raises(NotFittedError):
        model.save(tmp_path / "model.npz")
    assert list(tmp_path.iterdir()) == []


def test_it_learns_what_can_be_separated(case: Case) -> None:
    assert case.fitted.score(*case.data(60, seed=3)) > 0.9


def test_probabilities_add_up_and_their_largest_is_the_prediction(case: Case) -> None:
    X, _ = case.data(30)
    probabilities = case.fitted.predict_proba(X)
    assert probabilities.shape == (30, 3)
    assert probabilities.min() >= 0
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(
        case.fitted.predict(X), case.fitted.classes_[probabilities.argmax(axis=1)]
    )


def test_the_same_seed_gives_the_same_bits_whatever_the_global_state(case: Case) -> None:
    np.random.seed(99)
    before = np.random.get_state()[1].tolist()
    again = case.new().fit(*case.data(), *case.data(30, seed=1))
    assert np.random.get_state()[1].tolist() == before
    for one, other in zip(again.weights_, case.fitted.weights_, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_another_seed_gives_another_network(case: Case) -> None:
    other = case.new().set_params(random_state=1, epochs=1)
    other.fit(*case.data(40))
    one = case.new().set_params(epochs=1).fit(*case.data(40))
    assert any(not np.array_equal(a, b) for a, b in zip(one.weights_, other.weights_, strict=True))


def test_a_saved_model_predicts_the_same(case: Case, tmp_path: Path) -> None:
    X, _ = case.data(30)
    case.fitted.save(tmp_path / "model.npz", fingerprint="abc", label_names=("a", "b", "c"))
    loaded = load_model(tmp_path / "model.npz", fingerprint="abc", label_names=("a", "b", "c"))
    assert type(loaded) is type(case.fitted)
    np.testing.assert_array_equal(loaded.predict_proba(X), case.fitted.predict_proba(X))
    assert [path.name for path in tmp_path.iterdir()] == ["model.npz"]


def test_curves_have_a_point_for_each_epoch_and_are_finite(case: Case) -> None:
    curves = case.fitted.history_
    assert set(curves) == {"loss", "accuracy", "learning_rate", "dev_loss", "dev_accuracy"}
    assert {len(curve) for curve in curves.values()} == {case.fitted.n_iter_}
    assert np.isfinite(list(curves.values())).all()


@pytest.mark.slow
def test_labels_may_be_text_and_missing_from_dev(case: Case) -> None:
    X, y = case.data(60)
    names = np.array(["joy", "awe", "fear"])[y]
    dev = names != "joy"
    model = case.new().set_params(epochs=1).fit(X, names, X[dev], names[dev])
    assert model.classes_.tolist() == ["awe", "fear", "joy"]
    assert set(model.predict(X)) <= set(names)


@pytest.mark.slow
def test_development_rows_with_unknown_labels_are_left_out(case: Case) -> None:
    X, y = case.data(60)
    train = y < 2
    model = case.new().set_params(epochs=1).fit(X[train], y[train], X, y)
    assert model.predict_proba(X).shape == (60, 2)
    assert "dev_accuracy" in model.history_


@pytest.mark.slow
def test_soft_labels_are_learned_from(case: Case) -> None:
    X, y = case.data(60)
    torn = (np.eye(3)[y] + np.roll(np.eye(3)[y], 1, axis=1)) / 2
    model = case.new().fit(X, y, soft_labels=torn)
    assert model.predict_proba(X)[np.arange(60), y].mean() < 0.75


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, y: (X.astype(np.float32), y), "takes uint8 images .* X is float32"),
        (lambda X, y: (X[..., 0], y), "takes uint8 images"),
        (lambda X, y: (X.tolist(), y), "takes uint8 images .* X is list"),
        (lambda X, y: (X, y[:-1]), "inconsistent numbers of samples"),
        (lambda X, y: (X, 0 * y), "needs two classes, y holds one"),
        (lambda X, y: (X[:0], y[:0]), "needs images"),
    ],
)
def test_what_makes_no_sense_is_refused(case: Case, change: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        case.new().fit(*change(*case.data(12)))


def test_images_of_another_size_are_refused(case: Case) -> None:
    X, y = case.data(12)
    with pytest.raises(ValueError, match="is expecting"):
        case.fitted.predict(X[:, :-4, :-4])
    with pytest.raises(ValueError, match="X_dev has 12 images"):
        case.new().fit(X, y, X[:, :-4, :-4], y)


def test_presets_have_parameters_of_their_own(case: Case) -> None:
    kind = type(case.new())
    assert set(kind.presets) == {"default", "report", "quick"}
    for settings in kind.presets.values():
        assert kind(**settings).get_params() == kind().get_params() | settings


@pytest.mark.slow
def test_progress_is_told(case: Case) -> None:
    told: list[tuple[int, int, str]] = []
    case.new().set_params(epochs=1).fit(*case.data(40), progress=lambda *step: told.append(step))
    assert told
    assert all(0 <= done <= total and text for done, total, text in told)
