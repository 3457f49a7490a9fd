"""Stores that were made to do harm."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from featurestore import FeatureStore
from featurestore.errors import StoreError


class _Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("sprung"),)  # type: ignore[return-value]


def as_zarr_2(labels: Path) -> None:
    """Make an array of pickled objects of it, which the older format has."""
    (labels / "zarr.json").unlink()
    about: dict[str, Any] = {"zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O"}
    about |= {"compressor": None, "fill_value": None, "order": "C", "filters": [{"id": "pickle"}]}
    (labels / ".zarray").write_text(json.dumps(about))
    (labels / "0").write_bytes(pickle.dumps(_Trap()))


def with_a_codec(labels: Path, name: str) -> None:
    about = json.loads((labels / "zarr.json").read_bytes())
    about["codecs"] = [{"name": name, "configuration": {}}]
    about["chunk_grid"]["configuration"]["chunk_shape"] = about["shape"]
    (labels / "zarr.json").write_text(json.dumps(about))
    for shard in (labels / "c").rglob("*"):
        if shard.is_file():
            shard.write_bytes(pickle.dumps(_Trap()))


@pytest.mark.parametrize("how", ["zarr 2", "pickle", "numcodecs.pickle", "json2"])
def test_a_pickle_in_an_array_is_never_loaded(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if how == "zarr 2":
        as_zarr_2(store / "labels")
    else:
        with_a_codec(store / "labels", how)
    with pytest.raises(StoreError):
        _ = FeatureStore(store).labels
    assert not Path("sprung").exists()
