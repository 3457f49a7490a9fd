"""Verification: a byte that differs, a file too few or too many is found, with its place."""

import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from featurestore import ExtractSettings, FeatureStore, extract, read_source, verify
from featurestore._objects import hash_objects
from featurestore._place import Place
from featurestore._verify import Damage
from featurestore.errors import (
    StoreBusyError,
    StoreDamagedError,
    StoreError,
    StoreNotFoundError,
    StoreUnfinishedError,
)

FILES = (
    "images/c/0/0/0/0",
    "images/zarr.json",
    "embeddings/mobilenet/c/0/0",
    "embeddings/zarr.json",
    "labels/c/0",
    "label_strength/c/0/0",
    "split/c/0",
    "manifest/id/c/0",
    "manifest/row/c/0",
    "manifest/zarr.json",
)


def flip(path: Path, place: int = -1, mask: int = 1) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= mask
    path.write_bytes(content)


def test_a_sound_store_has_no_damage(finished: Path) -> None:
    assert verify(finished) == []
    assert verify(str(finished)) == []


@pytest.mark.parametrize("key", FILES)
@pytest.mark.parametrize("place", [0, -1])
def test_a_flipped_bit_is_found_and_its_file_named(store: Path, key: str, place: int) -> None:
    flip(store / key, place)
    (damage,) = verify(store)
    assert damage.place == key
    assert damage.what.startswith("checksum differs")


def test_rows_that_come_in_the_meantime_are_no_damage(
    photo_folder: Path,
    heal: Callable[[], object],
    settings: ExtractSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = read_source(str(photo_folder))
    extract(source, tmp_path / "s", settings)
    heal()

    def append_first(store: Place, keys: list[str]) -> Any:
        monkeypatch.undo()
        extract(source, tmp_path / "s", settings, retry=["not_image"])
        return hash_objects(store, keys)

    monkeypatch.setattr("featurestore._verify.hash_objects", append_first)
    with pytest.raises(StoreBusyError, match="was changed while it was verified"):
        verify(tmp_path / "s")
    assert verify(tmp_path / "s") == []


def test_every_file_is_covered(store: Path) -> None:
    files = [p for p in store.rglob("*") if p.is_file() and p != store / "zarr.json"]
    assert len(files) == 52
    for path in files:
        flip(path, path.stat().st_size // 2)
    assert {damage.place for damage in verify(store)} == {
        path.relative_to(store).as_posix() for path in files
    }


def test_damage_names_the_rows(store: Path) -> None:
    flip(store / "images" / "c" / "0" / "0" / "0" / "0")
    assert verify(store) == [
        Damage("images/c/0/0/0/0", "checksum differs (rows 0 to 79 of images)")
    ]


def test_rows_of_a_later_shard_are_told(
    photo_folder: Path,
    tmp_path: Path,
    settings: ExtractSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("featurestore._layout.SHARD_ROWS", 8)
    monkeypatch.setattr("featurestore._layout.CHUNK_ROWS", 4)
    extract(read_source(str(photo_folder)), tmp_path / "s", settings)
    assert verify(tmp_path / "s") == []
    flip(tmp_path / "s" / "embeddings" / "mobilenet" / "c" / "3" / "0")
    (damage,) = verify(tmp_path / "s")
    assert damage.what == "checksum differs (rows 24 to 29 of embeddings/mobilenet)"


def test_damage_of_larger_images_is_found(finished_large: Path, tmp_path: Path) -> None:
    store = Path(shutil.copytree(finished_large, tmp_path / "copy.zarr"))
    key = "images_160/c/0/0/0/0"
    flip(store / key, (store / key).stat().st_size // 2)
    assert verify(store) == [Damage(key, "checksum differs (rows 0 to 79 of images_160)")]
    (store / key).unlink()
    assert verify(store) == [Damage(key, "is missing (rows 0 to 79 of images_160)")]
    with pytest.raises(StoreDamagedError, match="images_160/c/0/0/0/0: is missing"):
        FeatureStore(store)


@pytest.mark.parametrize("key", FILES)
def test_a_missing_file_is_found(store: Path, key: str) -> None:
    (store / key).unlink()
    (damage,) = verify(store)
    assert damage.place == key
    assert damage.what.startswith("is missing")


def test_a_missing_array_is_found_file_by_file(store: Path) -> None:
    shutil.rmtree(store / "labels")
    assert {damage.place for damage in verify(store)} == {"labels/c/0", "labels/zarr.json"}


def test_a_strange_file_is_found(store: Path) -> None:
    (store / "labels" / "notes.txt").write_text("mine")
    (store / "images" / "c" / "1").mkdir()
    (store / "images" / "c" / "1" / "0").write_text("mine")
    assert verify(store) == [
        Damage("images/c/1/0", "is not part of the store"),
        Damage("labels/notes.txt", "is not part of the store"),
    ]


def test_a_file_cut_short_or_grown_is_found(store: Path) -> None:
    short, long = store / "labels" / "c" / "0", store / "split" / "c" / "0"
    short.write_bytes(short.read_bytes()[:-1])
    long.write_bytes(long.read_bytes() + b"\0")
    assert {damage.place for damage in verify(store)} == {"labels/c/0", "split/c/0"}


@pytest.mark.parametrize("name", ["label_names", "settings", "objects", "fingerprint", "checksum"])
def test_an_altered_attribute_is_found(store: Path, name: str) -> None:
    root = json.loads((store / "zarr.json").read_text())
    value = root["attributes"][name]
    if isinstance(value, dict):
        value.popitem()
    else:
        root["attributes"][name] = value[::-1]
    (store / "zarr.json").write_text(json.dumps(root))
    (damage,) = verify(store)
    assert damage.place == "zarr.json"


@given(data=st.data())
@hypothesis_settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_flipped_byte_of_the_root_that_means_something_is_missed(
    finished: Path, store: Path, data: st.DataObject
) -> None:
    sound = (finished / "zarr.json").read_bytes()
    place = data.draw(st.integers(-60, -1) | st.integers(0, len(sound) - 1))
    (store / "zarr.json").write_bytes(sound)
    flip(store / "zarr.json", place, data.draw(st.integers(1, 255)))
    with contextlib.suppress(StoreError):
        if not verify(store):
            assert json.loads((store / "zarr.json").read_bytes()) == json.loads(sound)


@pytest.mark.parametrize("change", [{"zarr_format": 2}, {"node_type": "array"}, {"more": None}])
def test_a_root_that_is_altered_beside_its_attributes_is_found(
    store: Path, change: dict[str, object]
) -> None:
    root = json.loads((store / "zarr.json").read_text())
    (store / "zarr.json").write_text(json.dumps(root | change))
    (damage,) = verify(store)
    assert damage.place == "zarr.json"


def test_what_is_no_finished_store_is_refused(store: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError):
        verify(tmp_path / "nowhere")
    (store / "zarr.json").unlink()
    (store / ".staging").mkdir()
    with pytest.raises(StoreUnfinishedError):
        verify(store)
