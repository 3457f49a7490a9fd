"""What predicts without scikit-learn predicts what the classifier does, bit for bit."""

from pathlib import Path

import numpy as np
import pytest

from classifiers import MLP, PCASVM, EmbeddingClassifier, LightGBM, LinearProbe, SavedModelError
from classifiers._inference import load_for_prediction

MODELS = (
    MLP(epochs=5),
    PCASVM(),
    PCASVM(kernel="linear", standardize=False),
    LinearProbe(),
    LightGBM(rounds=5),
)


def data(classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return features that are never negative, (200, 12), and labels, (200,)."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, 200)
    return np.abs(rng.normal(size=(200, 12)) + y[:, None]).astype(np.float32), 3 * y


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_it_predicts_the_same(model: EmbeddingClassifier, classes: int, tmp_path: Path) -> None:
    X, y = data(classes)
    model.fit(X, y, *data(classes, 1)).save(tmp_path / "m.npz", fingerprint="f", label_names="ab")
    found = load_for_prediction(tmp_path / "m.npz", fingerprint="f", label_names=["a", "b"])
    np.testing.assert_array_equal(found.classes_, model.classes_)
    new, _ = data(classes, 2)
    new[:10] -= 5  # a feature may be negative where none was in training
    np.testing.assert_array_equal(found.predict_proba(new), model.predict_proba(new))


def test_another_store_or_other_labels_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    MLP(epochs=1).fit(*data(2)).save(path, fingerprint="f", label_names=["a", "b"])
    with pytest.raises(SavedModelError, match="was trained on another store"):
        load_for_prediction(path, fingerprint="g")
    with pytest.raises(SavedModelError, match="its labels are a, b, not a, c"):
        load_for_prediction(path, label_names=["a", "c"])
    path.write_bytes(b"PK")
    with pytest.raises(SavedModelError, match="holds no model that can be read"):
        load_for_prediction(path)
