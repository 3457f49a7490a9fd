"""Saved models: no pickle, and nothing but what the file says it is."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from classifiers import LinearProbe, SavedModelError, load_model


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    X = rng.normal(size=(40, 5)).astype(np.float32) + y[:, None]
    path = tmp_path / "model.npz"
    LinearProbe().fit(X, y).save(path, fingerprint="abc", label_names=("calm", "tense"))
    return path


def changed(path: Path, **about: object) -> Path:
    with np.load(path) as file:
        arrays = dict(file)
    text = json.dumps(json.loads(str(arrays["about"])) | about)
    np.savez(path, **arrays | {"about": np.array(text)})
    return path


def test_it_opens_for_its_own_store(saved: Path) -> None:
    load_model(saved, fingerprint="abc", label_names=["calm", "tense"])


def test_another_store_is_refused(saved: Path) -> None:
    with pytest.raises(
        SavedModelError, match=r"trained on another store \(fingerprint abc, not xyz"
    ):
        load_model(saved, fingerprint="xyz")


def test_other_labels_are_refused(saved: Path) -> None:
    with pytest.raises(SavedModelError, match="its labels are calm, tense, not tense, calm"):
        load_model(saved, label_names=("tense", "calm"))


def test_a_missing_file_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path / "none.npz")


def test_a_newer_format_is_refused(saved: Path) -> None:
    with pytest.raises(SavedModelError, match="format version 9"):
        load_model(changed(saved, format_version=9))


@pytest.mark.parametrize("name", ["load_model", "os", "EmbeddingClassifier"])
def test_only_models_are_built(saved: Path, name: str) -> None:
    with pytest.raises(SavedModelError):
        load_model(changed(saved, **{"class": name}))


def test_unknown_settings_are_refused(saved: Path) -> None:
    with pytest.raises(SavedModelError, match="no model that can be read"):
        load_model(changed(saved, settings={"unheard_of": 1}))


@pytest.mark.parametrize("size", [0, 10, 300])
def test_a_file_cut_short_is_refused(saved: Path, size: int) -> None:
    saved.write_bytes(saved.read_bytes()[:size])
    with pytest.raises(SavedModelError, match="no model that can be read"):
        load_model(saved)


def test_flipped_bytes_are_found(saved: Path) -> None:
    data = bytearray(saved.read_bytes())
    data[data.index(b"coef_.npy") + 150] ^= 1
    saved.write_bytes(data)
    with pytest.raises(SavedModelError, match="no model that can be read"):
        load_model(saved)


class _Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("sprung"),)  # type: ignore[return-value]


def test_a_pickle_is_never_loaded(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with np.load(saved) as file:
        arrays = dict(file)
    np.savez(saved, **arrays | {"coef_": np.array([_Trap()], dtype=object)}, allow_pickle=True)
    with pytest.raises(SavedModelError):
        load_model(saved)
    saved.write_bytes(pickle.dumps(_Trap()))
    with pytest.raises(SavedModelError):
        load_model(saved)
    assert not Path("sprung").exists()
