"""HDF5 files as sources: good ones, odd ones and hostile ones."""

import pickle
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from featurestore import ExtractSettings, FeatureStore, extract, read_source, verify
from featurestore._decode import decode
from featurestore._labels import MIKELS
from featurestore.errors import SourceError, Unreadable
from featurestore.export import export_store
from featurestore.sources import SourceOptions, read_h5

Write = Callable[..., Path]


def some_images(count: int = 12, side: int = 32, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    return coarse.repeat(side // 4, axis=1).repeat(side // 4, axis=2)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes a file of 12 images of 8 labels, or what it is given."""

    def make(**arrays: Any) -> Path:
        path = tmp_path / "set.h5"
        given = {"image": some_images(), "emo": np.eye(8, dtype=np.uint8)[np.arange(12) % 8]}
        with h5py.File(path, "w") as file:
            for name, array in (given | arrays).items():
                if array is not None:
                    file[name] = array
        return path

    return make


def test_it_can_be_read_in_another_process(write: Write) -> None:
    source = read_h5(write())
    there = pickle.loads(pickle.dumps(source.fetch))
    assert there("image/000000003") == source.fetch("image/000000003")


def test_images_and_labels(write: Write) -> None:
    source = read_h5(write())
    assert (source.kind, source.title, source.label_names) == ("h5", "set.h5", MIKELS)
    assert not source.synthetic
    assert [record.id for record in source.records] == [f"image/{k:09}" for k in range(12)]
    assert [record.agree.index(1) for record in source.records] == [k % 8 for k in range(12)]
    assert {record.split for record in source.records} == {""}
    assert source.records[3].origin == "set.h5:3"


def test_pixels_are_the_files_own(write: Write) -> None:
    source = read_h5(write())
    for record, image in zip(source.records, some_images(), strict=True):
        decoded = decode(source.fetch(record.id), 32)
        assert decoded.format == "PPM"
        np.testing.assert_array_equal(decoded.thumbnail, image)


@pytest.mark.parametrize("dtype", [np.bool_, np.int64, np.float32, np.float64])
def test_labels_of_any_kind_of_number(write: Write, dtype: Any) -> None:
    source = read_h5(write(emo=np.eye(8)[np.arange(12) % 8].astype(dtype)))
    assert [record.agree.index(1) for record in source.records] == [k % 8 for k in range(12)]


def test_splits(write: Write) -> None:
    source = read_h5(write(split=np.arange(12) % 3))
    assert [record.split for record in source.records] == ["train", "dev", "test"] * 4


def test_rows_that_are_not_one_hot_become_failures(write: Write) -> None:
    emo = np.eye(8)[np.arange(12) % 8]
    emo[1], emo[2, 0], emo[3, 0] = 0, 1, np.nan
    source = read_h5(write(emo=emo))
    assert [(r.kind, r.detail) for r in source.records[:5]] == [
        ("", ""),
        ("bad_row", "emo has 0 labels"),
        ("bad_row", "emo has 2 labels"),
        ("bad_row", "emo holds other numbers than 0 and 1"),
        ("", ""),
    ]


def test_label_names_given_or_in_the_file(write: Write) -> None:
    path = write(emo=np.eye(2)[np.arange(12) % 2])
    with pytest.raises(SourceError, match=r"set\.h5: emo has 2 columns .* --labels a,b,c"):
        read_h5(path)
    assert read_h5(path, label_names=("a", "b")).label_names == ("a", "b")
    with pytest.raises(SourceError, match="2 columns, but there are 3 labels"):
        read_h5(path, label_names=("a", "b", "c"))
    fixed = h5py.string_dtype("utf-8", 5)
    for names in (np.array([b"calm", b"tense"], fixed), np.array([b"calm", b"tense"])):
        with h5py.File(path, "r+") as file:
            file.attrs["label_names"] = names
        assert read_h5(path).label_names == ("calm", "tense")
    with h5py.File(path, "r+") as file:
        file.attrs["label_names"] = np.array([b"calm", b"calm"])
    with pytest.raises(SourceError, match="empty or the same"):
        read_h5(path)


@pytest.mark.timeout(10)
def test_texts_of_variable_length_are_not_read(write: Write) -> None:
    """Where their heap is damaged the library never comes back, and can't be interrupted."""
    path = write(emo=np.eye(2)[np.arange(12) % 2])
    with h5py.File(path, "r+") as file:
        file.attrs["label_names"] = ["calm", "tense"]
    data = path.read_bytes()
    at = data.index(b"GCOL") + 16
    path.write_bytes(data[:at] + bytes(16) + data[at + 16 :])
    with pytest.raises(SourceError, match=r"label_names holds texts of variable .* --labels a,b,c"):
        read_h5(path)
    assert read_h5(path, label_names=("calm", "tense")).label_names == ("calm", "tense")


@pytest.mark.parametrize(
    ("name", "array", "said"),
    [
        ("image", None, "has no array 'image', it has emo"),
        ("emo", None, "has no array 'emo'"),
        ("image", some_images().astype(np.float32), "image is float32 .* must be uint8"),
        ("image", some_images()[..., 0], "image is uint8 .* must be uint8"),
        ("image", np.empty((0, 32, 32, 3), np.uint8), "there are no images"),
        ("image", np.empty((12, 0, 32, 3), np.uint8), "there are no images"),
        ("emo", np.eye(8)[:7], r"emo is float64 \(7, 8\); it must be numbers \(12, labels\)"),
        ("emo", np.arange(12), r"emo is int64 \(12,\)"),
        ("emo", np.full((12, 8), b"1"), r"emo is \|S1"),
        ("emo", np.zeros((12, 8)), r"set\.h5:0: emo has 0 labels, and no other row"),
        ("emo", np.zeros((12, 2000)), "nothing says what they are called"),
        ("split", np.full(12, 3), "other numbers than 0 train, 1 dev and 2 test"),
        ("split", np.zeros(11, np.int64), "split is int64"),
        ("split", np.zeros(12), "split is float64"),
    ],
)
def test_other_arrays_are_refused(write: Write, name: str, array: Any, said: str) -> None:
    with pytest.raises(SourceError, match=said) as caught:
        read_h5(write(**{name: array}))
    assert "\n" not in str(caught.value)


def test_arrays_of_objects_are_refused(write: Write) -> None:
    path = write(emo=None)
    with h5py.File(path, "r+") as file:
        file.create_dataset("emo", (12, 8), h5py.vlen_dtype(np.uint8))
    with pytest.raises(SourceError, match="emo"):
        read_h5(path)


def test_nothing_outside_the_file_is_opened(write: Write, tmp_path: Path) -> None:
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["image"] = some_images()
    (tmp_path / "raw").write_bytes(some_images().tobytes())
    layout = h5py.VirtualLayout((12, 32, 32, 3), np.uint8)
    layout[:] = h5py.VirtualSource(secret, "image", (12, 32, 32, 3))
    shape, raw = (12, 32, 32, 3), [(str(tmp_path / "raw"), 0, h5py.h5f.UNLIMITED)]
    fakes: list[tuple[Callable[[Any], object], str]] = [
        (lambda f: f.__setitem__("image", h5py.ExternalLink(secret, "image")), "is a link"),
        (lambda f: f.__setitem__("image", h5py.SoftLink("/emo")), "is a link"),
        (lambda f: f.create_virtual_dataset("image", layout), "lies in other files"),
        (lambda f: f.create_dataset("image", shape, np.uint8, external=raw), "in other files"),
        (lambda f: f.create_group("image"), "is a group"),
        (lambda f: f.create_dataset("image", (10**9, 32, 32, 3), "u1", chunks=True), "was never"),
    ]
    for fake, said in fakes:
        path = write(image=None)
        with h5py.File(path, "r+") as file:
            fake(file)
        with pytest.raises(SourceError, match=said):
            read_h5(path)


@pytest.mark.parametrize("name", ["image", "emo", "split"])
def test_arrays_that_were_written_in_part_are_refused(write: Write, name: str) -> None:
    """A few bytes can claim millions of rows, and rows that were never written are no images."""
    path = write(split=np.zeros(12, np.uint8))
    with h5py.File(path, "r+") as file:
        whole = file[name][:]
        del file[name]
        chunks = (5, *whole.shape[1:])
        file.create_dataset(name, whole.shape, whole.dtype, chunks=chunks)[:9] = whole[:9]
    with pytest.raises(SourceError, match=rf"set\.h5: {name} was written in part, 2 of 3 chunks"):
        read_h5(path)
    with h5py.File(path, "r+") as file:
        file[name][9:] = whole[9:]
    assert len(read_h5(path).records) == 12


def test_chunks_that_take_much_memory_for_one_image_are_refused(write: Write) -> None:
    path = write(image=None)
    with h5py.File(path, "r+") as file:
        shape, chunks = (12, 32, 32, 3), (200_000, 32, 32, 3)
        file.create_dataset(
            "image", shape, "u1", chunks=chunks, maxshape=(None, 32, 32, 3), compression="gzip"
        ).id.write_direct_chunk((0, 0, 0, 0), zlib.compress(bytes(12)))
    with pytest.raises(SourceError, match="image lies in chunks of 614,400,000 bytes, more than"):
        read_h5(path)


@pytest.mark.parametrize("kept", [0, 8, 100, 3000, 20_000])
def test_a_truncated_file_is_one_line(write: Write, kept: int) -> None:
    path = write()
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(SourceError, match=r"set\.h5: is (damaged or truncated|no HDF5 file)") as e:
        read_source(str(path))
    assert "\n" not in str(e.value)


def test_text_under_the_name_is_no_hdf5(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_text("path,label\n")
    with pytest.raises(SourceError, match="is no HDF5 file"):
        read_source(str(tmp_path / "a.h5"))


def test_damaged_bytes_are_errors_or_failures_but_no_tracebacks(write: Write) -> None:
    path = write()
    good = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(60):
        bad = bytearray(good)
        for place in rng.integers(8, 4000, 6):
            bad[place] = rng.integers(256)
        path.write_bytes(bad)
        try:
            source = read_h5(path)
            source.fetch(source.records[0].id)
        except (SourceError, Unreadable) as error:
            assert "\n" not in str(error)  # noqa: PT017 - either is right


def test_a_chunk_that_can_not_be_read_is_a_failure_of_its_image(tmp_path: Path) -> None:
    path = tmp_path / "set.h5"
    with h5py.File(path, "w") as file:
        noise = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
        file.create_dataset("image", data=noise, chunks=(1, 32, 32, 3), compression="gzip")
        file["emo"] = np.eye(8)[np.arange(12) % 8]
        chunk = file["image"].id.get_chunk_info(4)
    with path.open("rb+") as opened:
        opened.seek(chunk.byte_offset)
        opened.write(bytes(chunk.size))
    source = read_h5(path)
    source.fetch(source.records[3].id)
    with pytest.raises(Unreadable, match="image 4"):
        source.fetch(source.records[4].id)


def test_dispatch_and_options(write: Write, tmp_path: Path) -> None:
    path = write()
    assert read_source(str(path)).kind == "h5"
    assert read_source(str(path.rename(tmp_path / "set.data"))).kind == "h5"  # by its first bytes
    names = tuple("abcdefgh")
    path = str(tmp_path / "set.data")
    assert read_source(path, SourceOptions(labels=names)).label_names == names
    with pytest.raises(SourceError, match="--label-base"):
        read_source(path, SourceOptions(label_base=1))
    with pytest.raises(SourceError, match="--label-column"):
        read_source(path, SourceOptions(label_column="x"))


def test_small_images_follow_the_ordinary_rule(
    write: Write, tmp_path: Path, settings: ExtractSettings
) -> None:
    path = write(image=some_images(side=16))
    with pytest.raises(SourceError, match="12 too_small"):
        extract(read_h5(path), tmp_path / "s.zarr", settings)


def test_what_was_exported_comes_back(
    finished: Path, tmp_path: Path, settings: ExtractSettings
) -> None:
    before = FeatureStore(finished)
    path = export_store(before, "h5", tmp_path / "sample.h5")
    source = read_source(str(path))
    assert source.synthetic
    assert source.label_names == before.label_names
    after = extract(source, tmp_path / "again.zarr", settings)
    assert verify(after.path) == []
    assert len(after) == len(before)
    manifest = after.manifest()
    rows = np.argsort([int(name.rpartition("/")[2]) for name in manifest["id"]])
    order = manifest["row"][rows]  # where each of the old rows went
    np.testing.assert_array_equal(after.images[:][order], before.images[:])
    np.testing.assert_array_equal(after.labels[order], before.labels)
    np.testing.assert_array_equal(after.splits[order], before.splits)
    old = before.manifest()
    sha256 = dict(zip(old["row"].tolist(), old["sha256"].tolist(), strict=True))
    first = manifest["source"][rows[0]]
    assert first == f"sample.h5:0, of {sha256[0]}"
    assert extract(source, after.path, settings).fingerprint == after.fingerprint
