"""What is exported is read back, by other programs' readers, equal."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from featurestore import SPLITS, FeatureStore
from featurestore._tensorflow import load_tensorflow
from featurestore.export import FORMATS, export_store


@pytest.fixture(scope="module")
def large(finished_large: Path) -> FeatureStore:
    """80 images, at 32 and at 160 px."""
    return FeatureStore(finished_large)


def ids_of(store: FeatureStore) -> list[str]:
    manifest = store.manifest()
    rows = manifest["row"]
    return [manifest["sha256"][i] for i in np.argsort(rows) if rows[i] >= 0]


def pixels(png: bytes) -> Any:
    image = Image.open(io.BytesIO(png))
    assert image.format == "PNG"
    return np.asarray(image)


def assert_metadata(about: dict[str, Any], store: FeatureStore) -> None:
    assert about["format"] == "emotion-bench export"
    assert about["fingerprint"] == store.fingerprint
    assert about["title"] == "synthetic sample"
    assert about["synthetic"] is True
    assert about["label_names"] == list(store.label_names)
    assert about["split_names"] == list(SPLITS)
    assert about["rows"] == len(store)
    assert about["image_sizes"] == [32, 160]
    assert about["backbones"]["mobilenet"]["dims"] == 1024


def test_h5(large: FeatureStore, tmp_path: Path) -> None:
    with h5py.File(export_store(large, "h5", tmp_path / "a.h5")) as file:
        assert set(file) == {
            *("image", "image_160", "emo", "embeddings", "label_strength", "split", "id")
        }
        assert (file["image"].dtype, file["image"].shape) == (np.uint8, (80, 32, 32, 3))
        np.testing.assert_array_equal(file["image"], large.images[:])
        np.testing.assert_array_equal(file["image_160"], large.images_at(160)[:])
        assert (file["emo"].dtype, file["emo"].shape) == (np.uint8, (80, 8))
        np.testing.assert_array_equal(file["emo"], np.eye(8)[large.labels])
        np.testing.assert_array_equal(file["embeddings/mobilenet"], large.embeddings()[:])
        np.testing.assert_array_equal(file["label_strength"], large.label_strength)
        np.testing.assert_array_equal(file["split"], large.splits)
        assert [value.decode() for value in file["id"]] == ids_of(large)
        about: dict[str, Any] = dict(file.attrs)
        about["backbones"] = json.loads(about["backbones"])
        about["image_sizes"] = about["image_sizes"].tolist()
        about["synthetic"] = bool(about["synthetic"])
        for key in ("label_names", "split_names"):
            about[key] = [value.decode() for value in about[key]]
        assert_metadata(about, large)


def test_npz(large: FeatureStore, tmp_path: Path) -> None:
    with np.load(export_store(large, "npz", tmp_path / "a.npz"), allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["images"], large.images[:])
        np.testing.assert_array_equal(arrays["images_160"], large.images_at(160)[:])
        np.testing.assert_array_equal(arrays["embeddings/mobilenet"], large.embeddings()[:])
        np.testing.assert_array_equal(arrays["labels"], large.labels)
        np.testing.assert_array_equal(arrays["label_strength"], large.label_strength)
        np.testing.assert_array_equal(arrays["split"], large.splits)
        assert arrays["id"].astype(str).tolist() == ids_of(large)
        assert arrays["label_names"].tolist() == list(large.label_names)
        assert_metadata(json.loads(str(arrays["metadata"])), large)


def test_parquet(large: FeatureStore, tmp_path: Path) -> None:
    table = pq.read_table(export_store(large, "parquet", tmp_path / "a.parquet"))
    assert table["label"].to_pylist() == large.labels.tolist()
    assert table["label_name"].to_pylist() == [large.label_names[i] for i in large.labels]
    assert table["split"].to_pylist() == [SPLITS[i] for i in large.splits]
    assert table["id"].to_pylist() == ids_of(large)
    embeddings = table["embedding_mobilenet"]
    assert embeddings.type == pa.list_(pa.float32(), 1024)
    np.testing.assert_array_equal(np.stack(embeddings.to_numpy()), large.embeddings()[:])
    strengths = np.stack(table["label_strength"].to_numpy())
    np.testing.assert_array_equal(strengths, large.label_strength)
    for name, wanted in (("image", large.images), ("image_160", large.images_at(160))):
        images = table[name].to_pylist()
        np.testing.assert_array_equal(
            np.stack([pixels(image["bytes"]) for image in images]), wanted[:]
        )
    assert images[0]["path"] == f"{ids_of(large)[0]}_160.png"
    assert_metadata(json.loads(table.schema.metadata[b"emotion-bench"]), large)
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert list(features) == table.schema.names
    assert features["image"] == {"_type": "Image"}
    assert features["label"] == {"_type": "ClassLabel", "names": list(large.label_names)}


def read_shards(folder: Path, read: Callable[[Path], list[Any]]) -> dict[str, list[Any]]:
    """Return what lies in the shards of each split, and check what metadata.json says of them."""
    found: dict[str, list[Any]] = {}
    shards = json.loads((folder / "metadata.json").read_text())["shards"]
    assert {entry.name for entry in folder.iterdir()} == {"metadata.json", *shards}
    for name, count in shards.items():
        rows = read(folder / name)
        assert len(rows) == count
        found.setdefault(name.partition("-")[0], []).extend(rows)
    return found


def read_tfrecord(path: Path) -> list[Any]:
    tf = load_tensorflow()
    examples = [
        tf.train.Example.FromString(data.numpy()).features.feature
        for data in tf.data.TFRecordDataset(str(path))
    ]
    return [
        {
            "row": e["row"].int64_list.value[0],
            "id": e["id"].bytes_list.value[0].decode(),
            "label": e["label"].int64_list.value[0],
            "label_name": e["label_name"].bytes_list.value[0].decode(),
            "split": e["split"].bytes_list.value[0].decode(),
            "strength": np.float32(e["label_strength"].float_list.value),
            "embedding": np.float32(e["embedding_mobilenet"].float_list.value),
            **{
                name: tf.io.decode_png(e[name].bytes_list.value[0]).numpy()
                for name in ("image", "image_160")
            },
        }
        for e in examples
    ]


def read_tar(path: Path) -> list[Any]:
    samples: dict[str, dict[str, bytes]] = {}
    with tarfile.open(path, "r:") as archive:
        for member in archive:
            assert member.isreg()
            assert (member.mtime, member.uid, member.gid) == (0, 0, 0)
            file = archive.extractfile(member)
            assert file is not None
            key, _, ending = member.name.partition(".")
            samples.setdefault(key, {})[ending] = file.read()
    rows = []
    for key, files in samples.items():
        assert set(files) == {"png", "160.png", "cls", "json", "mobilenet.npy"}
        about = json.loads(files["json"])
        embedding = np.load(io.BytesIO(files["mobilenet.npy"]), allow_pickle=False)
        rows.append(
            {
                **{"row": about["row"], "id": key, "label": int(files["cls"])},
                **{"label_name": about["label"], "split": about["split"]},
                **{"strength": np.float32(about["strength"]), "embedding": embedding},
                **{"image": pixels(files["png"]), "image_160": pixels(files["160.png"])},
            }
        )
    return rows


@pytest.mark.parametrize(("form", "read"), [("tfrecord", read_tfrecord), ("webdataset", read_tar)])
def test_shards(
    large: FeatureStore, tmp_path: Path, form: str, read: Callable[[Path], list[Any]]
) -> None:
    found = read_shards(export_store(large, form, tmp_path / "out"), read)
    assert_metadata(json.loads((tmp_path / "out" / "metadata.json").read_text()), large)
    ids = ids_of(large)
    assert list(found) == ["dev", "test", "train"]
    for split, rows in found.items():
        assert [row["row"] for row in rows] == large.rows(split).tolist()
    images, larger, embeddings = large.images[:], large.images_at(160)[:], large.embeddings()[:]
    for split, rows in found.items():
        for row in rows:
            k = row["row"]
            assert (row["id"], row["split"], row["label"]) == (ids[k], split, large.labels[k])
            assert row["label_name"] == large.label_names[large.labels[k]]
            np.testing.assert_array_equal(row["strength"], large.label_strength[k])
            np.testing.assert_array_equal(row["embedding"], embeddings[k])
            np.testing.assert_array_equal(row["image"], images[k])
            np.testing.assert_array_equal(row["image_160"], larger[k])


def test_shards_are_cut(
    large: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("featurestore.export._shards.SHARD_ROWS", 30)
    found = read_shards(export_store(large, "webdataset", tmp_path / "out"), read_tar)
    assert [row["row"] for row in found["train"]] == large.rows("train").tolist()
    names = sorted(path.name for path in (tmp_path / "out").glob("train-*"))
    assert names == ["train-00000.tar", "train-00001.tar", "train-00002.tar"]


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_parts_make_the_same_export_as_one(
    large: FeatureStore, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = export_store(large, form, tmp_path / "whole")
    monkeypatch.setattr("featurestore.export._content.BLOCK_ROWS", 7)
    parts = export_store(large, form, tmp_path / "parts")
    if form == "parquet":  # whose row groups are the parts
        assert pq.ParquetFile(parts).num_row_groups == 12
        assert pq.read_table(parts).equals(pq.read_table(whole))
        return
    assert contents(parts) == contents(whole)


def contents(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else sorted(path.iterdir())
    return {file.name if path.is_dir() else "": file.read_bytes() for file in files}
