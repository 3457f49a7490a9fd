"""Reading a store: what is there comes back, what isn't a finished store is refused by kind."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from featurestore import FeatureStore, StoreError, verify
from featurestore.errors import (
    StoreDamagedError,
    StoreNotFoundError,
    StoreUnfinishedError,
    StoreVersionError,
)


def test_columns_and_properties_agree(finished: Path) -> None:
    store = FeatureStore(str(finished))
    assert len(store) == len(store.labels) == len(store.splits) == store.images.shape[0] == 80
    assert store.backbones == ("mobilenet",)
    assert len(store.label_names) == store.label_strength.shape[1] == 8
    np.testing.assert_array_equal(store.embeddings()[:5], store.embeddings("mobilenet")[:5])
    np.testing.assert_array_equal(store.label_strength.argmax(axis=1), store.labels)


def test_splits_divide_the_rows(finished: Path) -> None:
    store = FeatureStore(finished)
    rows = np.concatenate([store.rows(split) for split in ("train", "dev", "test")])
    assert sorted(rows.tolist()) == list(range(80))
    assert all((np.diff(store.rows(split)) > 0).all() for split in ("train", "dev", "test"))


def test_manifest_has_all_columns(finished: Path) -> None:
    assert sorted(FeatureStore(finished).manifest()) == sorted(
        [
            *("id", "source", "label", "agree", "disagree", "status", "kind", "detail"),
            *("http_status", "tries", "seconds", "final_url", "bytes", "width", "height", "format"),
            *("sha256", "row", "phash", "near_group"),
        ]
    )


def test_what_is_not_there_is_named_with_what_is(finished: Path) -> None:
    store = FeatureStore(finished)
    with pytest.raises(ValueError, match="no split is called 'validation'; there are train, dev"):
        store.rows("validation")
    with pytest.raises(KeyError, match="has no embeddings of resnet50; it has mobilenet"):
        store.embeddings("resnet50")
    assert repr(store) == f"<FeatureStore '{finished}': 80 images, mobilenet>"


def test_an_array_can_be_checked_alone(store: Path) -> None:
    opened = FeatureStore(store)
    shard = store / "images" / "c" / "0" / "0" / "0" / "0"
    content = bytearray(shard.read_bytes())
    content[99] ^= 1
    shard.write_bytes(content)
    opened.check("embeddings/mobilenet")
    with pytest.raises(StoreDamagedError, match="images/c/0/0/0/0: isn't as it was committed"):
        opened.check("images")


def test_images_are_had_by_their_size(finished: Path, finished_large: Path) -> None:
    plain, large = FeatureStore(finished), FeatureStore(finished_large)
    assert (plain.image_sizes, large.image_sizes) == ((32,), (32, 160))
    assert (large.images_at(160).shape, large.images_at(160).dtype) == ((80, 160, 160, 3), np.uint8)
    for store in (plain, large):
        assert store.images_at(32).shape == store.images.shape == (80, 32, 32, 3)
    with pytest.raises(KeyError, match="has no images of 224 px; its sizes are 32, 160"):
        large.images_at(224)


def test_reading_can_not_change_a_store(finished: Path) -> None:
    with pytest.raises((ValueError, PermissionError), match="read"):
        FeatureStore(finished).images[0] = 0


def test_any_zarr_reader_reads_it(finished: Path) -> None:
    group = zarr.open_group(finished, mode="r")
    assert group["images"].shape == (80, 32, 32, 3)
    assert group["manifest/status"][:].tolist() == ["kept"] * 80


def test_a_missing_store_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError, match="bench extract SOURCE --store"):
        FeatureStore(tmp_path / "nowhere")
    (tmp_path / "file").write_text("text")
    with pytest.raises(StoreNotFoundError):
        FeatureStore(tmp_path / "file")


def test_an_unfinished_store_is_never_seen(store: Path) -> None:
    (store / ".staging").mkdir()
    (store / "zarr.json").unlink()
    with pytest.raises(StoreUnfinishedError, match="again to go on"):
        FeatureStore(store)


def test_a_foreign_group_is_no_store(tmp_path: Path) -> None:
    zarr.create_group(tmp_path / "other.zarr", attributes={"format": "something else"})
    with pytest.raises(StoreNotFoundError, match="not one of"):
        FeatureStore(tmp_path / "other.zarr")


@pytest.mark.parametrize("version", [2, 99, "1", None])
def test_a_version_that_this_program_does_not_know_is_refused(store: Path, version: object) -> None:
    root = json.loads((store / "zarr.json").read_text())
    root["attributes"]["format_version"] = version
    (store / "zarr.json").write_text(json.dumps(root))
    with pytest.raises(StoreVersionError, match="install a newer one"):
        FeatureStore(store)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"7", b"\xff\xfe", b"{}"])
def test_a_damaged_root_is_one_line(store: Path, content: bytes) -> None:
    (store / "zarr.json").write_bytes(content)
    with pytest.raises(StoreDamagedError, match=r"zarr\.json: can't be read") as error:
        FeatureStore(store)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("changed", [{"node_type": "array"}, {"consolidated_metadata": {"x": 1}}])
def test_a_root_that_zarr_can_not_open_is_one_line(store: Path, changed: dict[str, Any]) -> None:
    root = json.loads((store / "zarr.json").read_text())
    (store / "zarr.json").write_text(json.dumps(root | changed))
    with pytest.raises(StoreDamagedError, match=r"zarr\.json: can't be read") as error:
        FeatureStore(store)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("old", "new"),
    [('"data_type"', '"data_tyqe"'), ('"fill_value"', '"x"'), ('"regular"', '"regu\\nlar"')],
)
def test_a_damaged_description_of_an_array_is_one_line(store: Path, old: str, new: str) -> None:
    text = (store / "images" / "zarr.json").read_text()
    assert old in text
    (store / "images" / "zarr.json").write_text(text.replace(old, new))
    with pytest.raises(StoreDamagedError, match="images: can't be read") as error:
        FeatureStore(store).array("images")
    assert "\n" not in str(error.value)
    with pytest.raises(KeyError, match="has no images_7"):
        FeatureStore(store).array("images_7")


def test_a_description_that_nests_without_end_is_damage(store: Path) -> None:
    (store / "images" / "zarr.json").write_bytes(b"[" * 100_000)
    with pytest.raises(StoreDamagedError, match="can't be read"):
        FeatureStore(store).reader("images")
    assert [damage.place for damage in verify(store)] == ["images/zarr.json"]


def test_a_folder_that_can_not_be_listed_is_not_missing(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def fail(path: Any) -> Any:
        if Path(path).name == "c":
            raise OSError(5, "Input/output error", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", fail)
    with pytest.raises(OSError, match="Input/output error"):
        FeatureStore(store)


@pytest.mark.parametrize("column", ["labels", "label_strength", "splits"])
def test_a_damaged_column_is_one_line(store: Path, column: str) -> None:
    for path in (store / ("split" if column == "splits" else column)).rglob("0"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(StoreDamagedError, match=r"can't be read .* `bench verify") as error:
        getattr(FeatureStore(store), column)
    assert "\n" not in str(error.value)


def test_a_damaged_manifest_is_one_line(store: Path) -> None:
    (store / "manifest" / "id" / "c" / "0").write_bytes(b"damaged")
    with pytest.raises(StoreDamagedError, match=r"manifest/id: can't be read"):
        FeatureStore(store).manifest()


def test_all_refusals_can_be_caught_as_one() -> None:
    kinds = (StoreNotFoundError, StoreUnfinishedError, StoreVersionError, StoreDamagedError)
    assert all(issubclass(kind, StoreError) for kind in kinds)


def test_reading_needs_no_deep_learning_library(finished: Path) -> None:
    code = (
        "import sys, featurestore\n"
        "store = featurestore.FeatureStore(sys.argv[1]); store.embeddings()[:]; store.manifest()\n"
        "print(*(n for n in ('tensorflow', 'keras', 'ai_edge_litert') if n in sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(finished)], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == ""
