"""What every classifier keeps to."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from classifiers import (
    MLP,
    PCASVM,
    EmbeddingClassifier,
    LightGBM,
    LinearProbe,
    load_model,
)

Array = npt.NDArray[np.float32]
MODELS = (
    MLP(hidden=(64, 32), dropout=0.2, learning_rate=0.003, epochs=40, batch_size=32),
    PCASVM(components=(8,), landmarks=64),
    LinearProbe(C=0.1),
    LightGBM(rounds=40),
)


def blobs(classes: int = 3, count: int = 90, features: int = 12, seed: int = 0) -> tuple:
    """Return X (count, features) and y (count,): one well separated blob for each class."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % classes
    X = rng.normal(size=(count, features)).astype(np.float32)
    X[np.arange(count), y] += 6
    return X, y


@pytest.fixture(params=MODELS, ids=lambda model: type(model).__name__)
def model(request: pytest.FixtureRequest) -> EmbeddingClassifier:
    fresh: EmbeddingClassifier = clone(request.param)
    return fresh


def test_constructor_stores_its_parameters_and_nothing_else(model: EmbeddingClassifier) -> None:
    assert vars(model) == model.get_params()
    assert "random_state" in model.get_params()


def test_defaults_can_be_changed_and_read_back(model: EmbeddingClassifier) -> None:
    assert model.set_params(random_state=7).get_params()["random_state"] == 7
    assert type(model)(**model.get_params()).get_params() == model.get_params()


def test_a_clone_is_unfitted_and_equal(model: EmbeddingClassifier) -> None:
    fitted = model.fit(*blobs())
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    with pytest.raises(NotFittedError):
        copy.predict(blobs()[0])


def test_fit_returns_the_classifier(model: EmbeddingClassifier) -> None:
    assert model.fit(*blobs()) is model


def test_unfitted_it_refuses_to_predict(model: EmbeddingClassifier) -> None:
    with pytest.raises(NotFittedError):
        model.predict(blobs()[0])
    with pytest.raises(NotFittedError):
        model.predict_proba(blobs()[0])


@pytest.mark.parametrize("classes", [2, 3, 8])
def test_it_learns_what_can_be_separated(model: EmbeddingClassifier, classes: int) -> None:
    X, y = blobs(classes, count=240)
    X_new, y_new = blobs(classes, count=240, seed=1)
    assert model.fit(X, y, *blobs(classes, count=60, seed=2)).score(X_new, y_new) > 0.95


def test_it_learns_without_a_development_set(model: EmbeddingClassifier) -> None:
    assert model.fit(*blobs(count=240)).score(*blobs(seed=1)) > 0.95


@pytest.mark.parametrize("classes", [2, 3])
def test_probabilities_add_up_and_their_largest_is_the_prediction(
    model: EmbeddingClassifier, classes: int
) -> None:
    X, y = blobs(classes)
    probabilities = model.fit(X, y).predict_proba(X)
    assert probabilities.shape == (90, classes)
    assert probabilities.min() >= 0
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    expected = model.classes_[probabilities.argmax(axis=1)]
    np.testing.assert_array_equal(model.predict(X), expected)


def test_the_same_seed_gives_the_same_bits(model: EmbeddingClassifier) -> None:
    X, y = blobs()
    first, second = clone(model).fit(X, y, X, y), clone(model).fit(X, y, X, y)
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))


def test_fitting_again_forgets_what_was_learned_before(model: EmbeddingClassifier) -> None:
    X, y = blobs()
    expected = clone(model).fit(X, y).predict_proba(X)
    refitted = model.fit(*blobs(8, features=30)).fit(X, y)
    np.testing.assert_array_equal(refitted.predict_proba(X), expected)


def test_global_random_state_is_neither_used_nor_changed(model: EmbeddingClassifier) -> None:
    X, y = blobs()
    expected = clone(model).fit(X, y).predict_proba(X)
    np.random.seed(99)
    before = np.random.get_state()[1].tolist()
    np.testing.assert_array_equal(model.fit(X, y).predict_proba(X), expected)
    assert np.random.get_state()[1].tolist() == before


def test_its_input_is_not_changed(model: EmbeddingClassifier) -> None:
    X, y = blobs()
    before = X.copy()
    model.fit(X, y, X, y).predict_proba(X)
    np.testing.assert_array_equal(X, before)


def test_a_constant_column_does_no_harm(model: EmbeddingClassifier) -> None:
    X, y = blobs(count=240)
    X[:, 5] = 3
    assert model.fit(X, y).score(X, y) > 0.95


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(model: EmbeddingClassifier, bad: float) -> None:
    X, y = blobs()
    broken = X.copy()
    broken[3, 3] = bad
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        model.fit(broken, y)
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        model.fit(X, y, broken, y)
    model.fit(X, y)
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        model.predict(broken)


def test_another_number_of_features_is_refused(model: EmbeddingClassifier) -> None:
    X, y = blobs()
    model.fit(X, y)
    assert model.n_features_in_ == 12
    with pytest.raises(ValueError, match=r"11 features.* expecting 12"):
        model.predict(X[:, :11])
    with pytest.raises(ValueError, match=r"11 features.* expecting 12"):
        model.fit(X, y, X[:, :11], y)


def test_rows_and_labels_of_different_number_are_refused(model: EmbeddingClassifier) -> None:
    X, y = blobs()
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.fit(X, y[:-1])


def test_one_class_is_refused(model: EmbeddingClassifier) -> None:
    X, _ = blobs()
    with pytest.raises(ValueError, match="needs two classes, y holds one"):
        model.fit(X, np.zeros(90, int))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, y: {"y": 0 * y}, "two classes"),
        (lambda X, y: {"y": y + 5, "soft_labels": np.eye(2)[y % 2]}, "soft.labels"),
        (lambda X, y: {"y": y + 5, "X_dev": X, "y_dev": y[:-1]}, "X_dev"),
    ],
)
def test_after_a_fit_that_was_refused_nothing_is_learned(
    model: EmbeddingClassifier, change: Callable[[Array, Array], dict[str, Array]], message: str
) -> None:
    X, y = blobs()
    for one in (model, clone(model).fit(X, y)):
        with pytest.raises(ValueError, match=message):
            one.fit(X, **change(X, y))
        with pytest.raises(NotFittedError):
            one.predict(X)
        assert vars(one).keys() - one.get_params().keys() <= {"n_features_in_"}


def test_after_a_fit_that_was_stopped_it_refuses_to_predict(model: EmbeddingClassifier) -> None:
    def stop(done: int, total: int, text: str) -> None:
        if done:
            raise KeyboardInterrupt

    X, y = blobs()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y).fit(X, y, X, y, progress=stop)
    with pytest.raises(NotFittedError):
        model.predict(X)


def test_a_development_set_has_rows_and_a_label_for_each(model: EmbeddingClassifier) -> None:
    X, y = blobs()
    with pytest.raises(ValueError, match="X_dev is given without y_dev; give both or none"):
        model.fit(X, y, X)
    with pytest.raises(ValueError, match="y_dev is given without X_dev; give both or none"):
        model.fit(X, y, y_dev=y)
    for labels in (9, 11):
        with pytest.raises(ValueError, match=f"X_dev has 10 rows, y_dev {labels} labels"):
            model.fit(X, y, X[:10], y[:labels])


def test_labels_may_be_text(model: EmbeddingClassifier) -> None:
    X, y = blobs(count=240)
    names = np.array(["joy", "awe", "fear"])[y]
    assert model.fit(X, names, X[:30], names[:30]).score(X, names) > 0.95
    assert model.classes_.tolist() == ["awe", "fear", "joy"]


def test_labels_may_have_gaps(model: EmbeddingClassifier) -> None:
    X, y = blobs(count=240)
    gaps = np.array([7, 0, 3])[y]
    assert model.fit(X, gaps, X[:30], gaps[:30]).score(X, gaps) > 0.95
    assert model.classes_.tolist() == [0, 3, 7]


def test_a_label_may_be_missing_from_the_development_set(model: EmbeddingClassifier) -> None:
    X, y = blobs(count=240)
    dev = y < 2
    assert model.fit(X, y, X[dev], y[dev]).score(X, y) > 0.95


def test_development_rows_with_unknown_labels_are_left_out(model: EmbeddingClassifier) -> None:
    X, y = blobs(4, count=240)
    train = y < 3
    strange = np.full(len(X), 9)
    expected = clone(model).fit(X[train], y[train], X[train], y[train]).predict_proba(X)
    found = clone(model).fit(X[train], y[train], X, y).predict_proba(X)
    assert found.shape == (240, 3)
    np.testing.assert_array_equal(found, expected)
    alone = clone(model).fit(X[train], y[train]).predict_proba(X)
    np.testing.assert_array_equal(
        clone(model).fit(X[train], y[train], X, strange).predict_proba(X), alone
    )


def test_fewer_rows_than_features_are_enough(model: EmbeddingClassifier) -> None:
    X, y = blobs(2, count=6, features=50)
    assert model.fit(X, y).predict_proba(X).shape == (6, 2)


def test_each_preset_has_parameters_of_its_own_and_no_unknown_ones(
    model: EmbeddingClassifier,
) -> None:
    assert set(model.presets) == {"default", "report"}
    assert type(model)(**model.presets["default"]).get_params() == type(model)().get_params()
    report = type(model)(**model.presets["report"])
    assert report.get_params() == type(model)().get_params() | model.presets["report"]
    assert report.get_params() != type(model)().get_params()


def test_report_presets_learn_too(model: EmbeddingClassifier) -> None:
    report = type(model)(**model.presets["report"])
    if "epochs" in report.get_params():  # 1000, at 1e-4: too many for a quick test
        report.set_params(epochs=60, learning_rate=3e-3)
    X, y = blobs(count=300)
    assert report.fit(X, y, *blobs(count=60, seed=2)).score(*blobs(count=300, seed=1)) > 0.9


def test_a_saved_model_predicts_the_same(model: EmbeddingClassifier, tmp_path: Path) -> None:
    X, y = blobs()
    model.fit(X, y, *blobs(seed=1)).save(tmp_path / "model.npz")
    loaded = load_model(tmp_path / "model.npz")
    assert type(loaded) is type(model)
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert {k: _list(v) for k, v in loaded.get_params().items()} == {
        k: _list(v) for k, v in model.get_params().items()
    }
    assert [path.name for path in tmp_path.iterdir()] == ["model.npz"]


def test_labels_that_are_text_survive_saving(model: EmbeddingClassifier, tmp_path: Path) -> None:
    X, y = blobs()
    names = np.array(["joy", "awe", "fear"], dtype=object)[y]
    expected = model.fit(X, names).predict(X).tolist()
    model.save(tmp_path / "model.npz")
    assert load_model(tmp_path / "model.npz").predict(X).tolist() == expected


def test_only_what_was_fitted_can_be_saved(model: EmbeddingClassifier, tmp_path: Path) -> None:
    with pytest.raises(NotFittedError):
        model.save(tmp_path / "model.npz")
    assert list(tmp_path.iterdir()) == []


def test_progress_is_told_and_ends_or_stops_early(model: EmbeddingClassifier) -> None:
    told: list[tuple[int, int, str]] = []
    X, y = blobs()
    model.fit(X, y, *blobs(seed=1), progress=lambda *step: told.append(step))
    done = [step[0] for step in told]
    assert done == sorted(done)
    assert all(0 <= done <= total and text for done, total, text in told)
    assert len({total for _, total, _ in told}) == 1


def test_curves_have_a_point_for_each_step_and_are_finite(model: EmbeddingClassifier) -> None:
    model.fit(*blobs(), *blobs(seed=1))
    curves = getattr(model, "history_", None)
    if curves is None:
        assert {"C", "dev_accuracy"} <= set(model.search_[0])
        return
    assert set(curves) == {"loss", "accuracy", "learning_rate", "dev_loss", "dev_accuracy"}
    assert len({len(curve) for curve in curves.values()}) == 1
    assert np.isfinite(list(curves.values())).all()


def test_soft_labels_are_learned_from_or_refused(model: EmbeddingClassifier) -> None:
    X, y = blobs(count=240)
    hard = np.eye(3, dtype=np.float32)[y]
    if not model.takes_soft_labels:
        with pytest.raises(ValueError, match="can't learn from soft labels"):
            model.fit(X, y, soft_labels=hard)
        return
    expected = clone(model).fit(X, y).predict_proba(X)
    found = clone(model).fit(X, y, soft_labels=4 * hard).predict_proba(X)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    # Everybody torn between the true label and another: the probabilities say so.
    torn = (hard + np.roll(hard, 1, axis=1)) / 2
    found = clone(model).fit(X, y, soft_labels=torn).predict_proba(X)
    assert found[np.arange(240), y].mean() == pytest.approx(0.5, abs=0.1)
    assert found[np.arange(240), (y + 1) % 3].mean() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda soft: soft[:, :2], r"shape \(90, 2\), not \(90, 3\)"),
        (lambda soft: soft[1:], r"shape \(89, 3\)"),
        (lambda soft: soft * np.nan, "NaN"),
        (lambda soft: soft - 1, "negative"),
        (lambda soft: soft * (np.arange(90) > 0)[:, None], "a row without any label"),
        (lambda soft: soft * [1, 1, 0] + [0, 1e-3, 0], "never has 2, which y has"),
    ],
)
@pytest.mark.parametrize("model", [MLP(), LinearProbe()], ids=["MLP", "LinearProbe"])
def test_soft_labels_that_make_no_sense_are_refused(
    model: EmbeddingClassifier, change: Callable[[Array], Array], message: str
) -> None:
    X, y = blobs()
    soft = change(np.eye(3, dtype=np.float32)[y])
    with pytest.raises(ValueError, match=message):
        model.fit(X, y, soft_labels=soft)


@pytest.mark.parametrize(
    "model", [clone(MODELS[0]), LinearProbe(C=0.01)], ids=["MLP", "LinearProbe"]
)
def test_balanced_classes_find_more_of_a_rare_one(model: EmbeddingClassifier) -> None:
    rng = np.random.default_rng(0)
    y = (rng.random(600) < 0.1).astype(int)
    X = rng.normal(size=(600, 6)).astype(np.float32)
    X[:, 0] += 1.5 * y
    plain = clone(model).fit(X, y).predict(X)
    balanced = clone(model).set_params(class_weight="balanced").fit(X, y).predict(X)
    assert balanced[y == 1].mean() > plain[y == 1].mean() + 0.1
    with pytest.raises(ValueError, match="it can be None, 'balanced' or a dict"):
        model.set_params(class_weight="heavy").fit(X, y)
    for weight in (0.0, -1.0, 1e-60, np.nan, np.inf):
        with pytest.raises(ValueError, match=f"class_weight of 1 is {weight}; it must be"):
            model.set_params(class_weight={1: weight}).fit(X, y)


def _list(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
