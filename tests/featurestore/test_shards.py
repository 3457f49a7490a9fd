"""Reading large arrays past zarr: the same rows, and never zeros for lost ones."""

import json
import os
import pickle
import shutil
import struct
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import numpy.typing as npt
import pytest
import zarr
from zarr.codecs import BloscCodec, ZstdCodec

from featurestore import _shards
from featurestore._layout import create_pixels
from featurestore._place import place_of
from featurestore._shard_index import ForeignLayoutError, read_layout
from featurestore._shards import LocalArray
from featurestore.errors import StoreDamagedError

Array = npt.NDArray[Any]
INDEX = 16 * 16 + 4  # bytes at the end of a shard


def made_up(shape: tuple[int, ...], dtype: str, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    if dtype == "float32":
        return rng.normal(size=shape).astype(np.float32)
    lines = rng.integers(0, 256, (*shape[:2], 1, 1), np.uint8)  # quick to compress
    return np.broadcast_to(lines, shape).copy()


def write(store: Path, name: str, data: Array) -> Path:
    array = create_pixels(place_of(store), name, data.shape, str(data.dtype))
    for start in range(0, len(data), array.shards[0]):
        array[start : start + array.shards[0]] = data[start : start + array.shards[0]]
    return store / name


def shard(folder: Path, number: int = 0) -> Path:
    return read_layout(folder).shard_path(number)


def rewrite_index(path: Path, chunk: int, offset: int, length: int) -> None:
    """Change where a chunk is said to lie; the checksum is right."""
    data = bytearray(path.read_bytes())
    entries = data[-INDEX:-4]
    struct.pack_into("<QQ", entries, chunk * 16, offset, length)
    data[-INDEX:] = entries + google_crc32c.value(bytes(entries)).to_bytes(4, "little")
    path.write_bytes(data)


SHAPES = [
    *[((n, 32, 32, 3), "uint8") for n in (1, 256, 257)],
    *[((n, 160, 160, 3), "uint8") for n in (7, 161)],
    ((5, 512, 512, 3), "uint8"),  # one image a chunk
    *[((n, 24), "float32") for n in (1, 256, 1000, 4096, 9000)],
    ((4400, 320), "float32"),  # rows that no page is a multiple of
]


@pytest.mark.parametrize(("shape", "dtype"), SHAPES, ids=str)
def test_rows_are_those_that_zarr_reads(shape: tuple[int, ...], dtype: str, tmp_path: Path) -> None:
    folder = write(tmp_path, "a", made_up(shape, dtype))
    whole, array, n = zarr.open_array(folder, mode="r")[:], LocalArray(folder), shape[0]
    assert isinstance(whole, np.ndarray)
    assert (array.shape, array.dtype, len(array)) == (shape, whole.dtype, n)
    rng = np.random.default_rng(1)
    for rows in (
        rng.permutation(n),
        rng.integers(-n, n, min(2 * n, 300)),
        np.array([n - 1]),
        np.array([0, 0, n - 1, 0]),
        np.empty(0, np.int64),
    ):
        np.testing.assert_array_equal(array.take(rows), whole[rows])
    for start, stop in [
        (0, n),
        (n // 3, n // 2),
        (n - 1, n),
        (0, 0),
        (5, 2),
        (-3, None),
        (0, n + 9),
    ]:
        np.testing.assert_array_equal(array[start:stop], whole[start:stop])
    assert array[:].flags.writeable


def test_what_is_read_may_be_written_to(tmp_path: Path) -> None:
    for dtype, tail in (("uint8", (32, 32, 3)), ("float32", (8,))):
        data = made_up((300, *tail), dtype)
        array = LocalArray(write(tmp_path, dtype, data))
        array[:][:], array.take(np.arange(5))[:] = 0, 0
        np.testing.assert_array_equal(array[:], data)


def test_rows_that_are_not_there(tmp_path: Path) -> None:
    for dtype, tail in (("uint8", (32, 32, 3)), ("float32", (8,))):
        array = LocalArray(write(tmp_path, dtype, made_up((300, *tail), dtype)))
        for row in (300, -301):
            with pytest.raises(IndexError):
                array.take(np.array([0, row]))
        with pytest.raises(ValueError, match="step"):
            array[::2]


def test_an_array_without_rows(tmp_path: Path) -> None:
    for dtype, tail in (("uint8", (32, 32, 3)), ("float32", (8,))):
        array = LocalArray(write(tmp_path, dtype, made_up((0, *tail), dtype)))
        assert array[:].shape == array.take(np.empty(0, np.int64)).shape == (0, *tail)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Array]]:
    """Arrays and the folders that they were written to, to be read only."""
    store = tmp_path_factory.mktemp("written")
    shapes = {"images": (2000, 32, 32, 3), "large": (30, 512, 512, 3), "embeddings": (4300, 8)}
    found = {}
    for name, shape in shapes.items():
        data = made_up(shape, "float32" if name == "embeddings" else "uint8")
        found[name] = write(store, name, data), data
    return found


@pytest.fixture
def images(written: dict[str, tuple[Path, Array]], tmp_path: Path) -> tuple[Path, Array]:
    """2,000 images in eight chunks of one shard, and a folder that they lie in."""
    folder, data = written["images"]
    return shutil.copytree(folder, tmp_path / "images"), data


@pytest.fixture
def small_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for three chunks."""
    monkeypatch.setattr(_shards, "CACHE_BYTES", 3 * 256 * 3072)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What is decoded, chunk by chunk."""
    chunks: list[int] = []
    decode = _shards._Decoded._decode

    def count(self: Any, chunk: int, target: Any) -> None:
        chunks.append(chunk)
        decode(self, chunk, target)

    monkeypatch.setattr(_shards._Decoded, "_decode", count)
    return chunks


def test_an_epoch_of_random_batches_decodes_each_chunk_once(
    images: tuple[Path, Array], decoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A batch has rows of all chunks, which are many more bytes than it has itself.
    monkeypatch.setattr(_shards, "_LARGE_READ", 200 * 3072)
    array = LocalArray(images[0])
    for rows in np.random.default_rng(0).permutation(2000).reshape(-1, 100):
        np.testing.assert_array_equal(array.take(rows), images[1][rows])
    assert sorted(decoded) == list(range(8))


def test_what_is_loaded_to_be_held_is_not_kept_twice(
    images: tuple[Path, Array], decoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_shards, "_LARGE_READ", 200 * 3072)
    array = LocalArray(images[0])
    for _ in range(2):
        np.testing.assert_array_equal(array[:], images[1])
    assert sorted(decoded) == sorted([*range(8), *range(8)])
    assert (array._source._kept.slot < 0).all()


@pytest.mark.usefixtures("small_cache")
def test_from_front_to_back_each_chunk_is_decoded_once(
    images: tuple[Path, Array], decoded: list[int]
) -> None:
    array = LocalArray(images[0])
    for start in range(0, 2000, 100):
        np.testing.assert_array_equal(array[start : start + 100], images[1][start : start + 100])
    assert sorted(decoded) == list(range(8))


@pytest.mark.usefixtures("small_cache")
@pytest.mark.parametrize("large_read", [0, 2 * 256 * 3072, 1 << 30])
def test_more_than_there_is_room_for(
    images: tuple[Path, Array], large_read: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_shards, "_LARGE_READ", large_read)
    array, rng = LocalArray(images[0]), np.random.default_rng(0)
    for _ in range(25):
        first = int(rng.integers(0, 1990))
        for rows in (rng.integers(0, 2000, 3), first + rng.integers(0, 10, 40)):
            np.testing.assert_array_equal(array.take(rows), images[1][rows])
        stop = first + int(rng.integers(0, 1000))
        np.testing.assert_array_equal(array[first:stop], images[1][first:stop])


@pytest.mark.parametrize("cache", [3 * 256 * 3072, 1 << 30])
def test_threads_read_at_the_same_time(
    images: tuple[Path, Array], cache: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_shards, "CACHE_BYTES", cache)
    array, wrong = LocalArray(images[0]), []

    def read(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(12):
            first = int(rng.integers(0, 1500))
            rows = first + rng.integers(0, 500, 50)
            if not np.array_equal(array.take(rows), images[1][rows]):
                wrong.append(rows)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_an_interrupted_read_leaves_nothing_wrong_behind(
    images: tuple[Path, Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    array = LocalArray(images[0])
    array.take(np.array([0]))
    put = _shards._Kept.put

    def interrupt(self: Any, chunk: int, slot: int) -> None:
        put(self, chunk, slot)
        if chunk == 5:
            self.at[chunk * 256 :] = 7  # a half-finished note
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_shards._Kept, "put", interrupt)
        with pytest.raises(KeyboardInterrupt):
            array.take(np.arange(1000, 2000))
    np.testing.assert_array_equal(array[:], images[1])
    np.testing.assert_array_equal(array.take(np.arange(2000)), images[1])


def test_it_is_pickled_as_a_path(images: tuple[Path, Array]) -> None:
    array = LocalArray(images[0])
    array[:100]
    text = pickle.dumps(array)
    assert len(text) < 1000
    np.testing.assert_array_equal(pickle.loads(text)[:], images[1])


@pytest.mark.skipif(
    not hasattr(os, "fork") or sys.version_info >= (3, 12), reason="Python warns of forks"
)
def test_a_forked_process_has_threads_of_its_own(images: tuple[Path, Array]) -> None:
    array = LocalArray(images[0])
    array[:10]
    child = os.fork()
    if not child:
        os._exit(0 if np.array_equal(array[:], images[1]) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize(("dtype", "tail"), [("uint8", (32, 32, 3)), ("float32", (8,))])
def test_a_store_that_gets_more_rows_meanwhile(
    dtype: str, tail: tuple[int, ...], tmp_path: Path
) -> None:
    more = made_up((4700, *tail), dtype)
    old, new = write(tmp_path, "old", more[:4200]), write(tmp_path, "new", more)
    array = LocalArray(old)
    np.testing.assert_array_equal(array[:10], more[:10])
    for path in (shard(new, 1), new / "zarr.json"):
        path.replace(old / path.relative_to(new))
    np.testing.assert_array_equal(array[:], more[:4200])
    np.testing.assert_array_equal(array.take(np.arange(4199, 3000, -1)), more[4199:3000:-1])
    np.testing.assert_array_equal(LocalArray(old)[:], more)


@pytest.fixture(params=["large", "embeddings"])
def two_shards(
    request: pytest.FixtureRequest, written: dict[str, tuple[Path, Array]], tmp_path: Path
) -> tuple[Path, Array]:
    folder, data = written[request.param]
    return shutil.copytree(folder, tmp_path / "a"), data


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5000])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut_within_index(path: Path) -> None:
    path.write_bytes(path.read_bytes()[-INDEX + 1 :])


def never_written(path: Path) -> None:
    rewrite_index(path, 0, 2**64 - 1, 2**64 - 1)


def beyond_the_end(path: Path) -> None:
    rewrite_index(path, 0, path.stat().st_size - INDEX, 256 * 32)


def beyond_all_numbers(path: Path) -> None:
    rewrite_index(path, 0, 2**64 - 2, 2)


def another_length(path: Path) -> None:
    rewrite_index(path, 0, 0, 4000)


@pytest.mark.parametrize(
    "damage",
    [
        *(Path.unlink, empty, cut_short, cut_within_index, never_written),
        *(beyond_the_end, beyond_all_numbers, another_length),
    ],
)
def test_lost_rows_are_an_error_and_others_are_not(
    damage: Any, two_shards: tuple[Path, Array]
) -> None:
    folder, data = two_shards
    damage(shard(folder))
    array, rows = LocalArray(folder), read_layout(folder).shard_rows
    said = rf"^{folder}: rows 0 to \d+ can't be read \(.+\); `bench verify` of its store says more$"
    for _ in range(2):
        with pytest.raises(StoreDamagedError, match=said):
            array[:10]
        with pytest.raises(StoreDamagedError, match=said):
            array.take(np.array([len(data) - 1, 0]))
        with pytest.raises(StoreDamagedError, match=said):
            array[:]
        np.testing.assert_array_equal(array[rows:], data[rows:])


def test_rows_of_the_lost_chunk_are_named(images: tuple[Path, Array]) -> None:
    folder, data = images
    rewrite_index(shard(folder), 3, 2**64 - 1, 2**64 - 1)
    array = LocalArray(folder)
    with pytest.raises(StoreDamagedError, match=r"rows 768 to 1023 .*never written"):
        array.take(np.array([0, 1023]))
    # Reading ahead finds out before anybody has asked.
    np.testing.assert_array_equal(array[0:768], data[0:768])


def test_a_wrong_bit_in_an_index_is_an_error(images: tuple[Path, Array]) -> None:
    path = shard(images[0])
    good = path.read_bytes()
    for place in range(-INDEX, 0, 3):
        bad = bytearray(good)
        bad[place] ^= 1 << (place % 8)
        path.write_bytes(bad)
        with pytest.raises(StoreDamagedError, match="checksum of the shard's index"):
            LocalArray(images[0])[:10]


def test_wrong_bits_in_a_chunk_concern_no_other(images: tuple[Path, Array]) -> None:
    folder, data = images
    path = shard(folder)
    good, rng = path.read_bytes(), np.random.default_rng(0)
    starts = np.frombuffer(good[-INDEX:-4], "<u8").reshape(-1, 2)[:, 0]
    errors = 0
    for place in [*range(40), *rng.integers(40, int(starts[1]) - int(starts[0]), 20).tolist()]:
        bad = bytearray(good)
        bad[int(starts[1]) + place] ^= 1 << int(rng.integers(8))
        path.write_bytes(bad)
        array = LocalArray(folder)
        np.testing.assert_array_equal(array[512:513], data[512:513])
        try:
            array[256:512]
        except StoreDamagedError:
            errors += 1
        else:
            # What these say isn't taken on trust: the chunk's size decoded, and encoded.
            assert place not in {*range(4, 8), *range(12, 16)}
    assert errors >= 8


def test_a_damaged_zarr_json(images: tuple[Path, Array]) -> None:
    path = images[0] / "zarr.json"
    for content in (b"", b"{", b"\xff"):
        path.write_bytes(content)
        with pytest.raises(StoreDamagedError, match=r"zarr\.json: can't be read"):
            LocalArray(images[0])
    path.unlink()
    with pytest.raises(StoreDamagedError, match=r"zarr\.json: can't be read"):
        LocalArray(images[0])


FOREIGN: list[dict[str, Any]] = [
    {"chunks": (8, 4, 4, 3)},
    {"chunks": (8, 4, 4, 3), "shards": (64, 4, 4, 3)},  # zstd, by default
    {"chunks": (8, 4, 4, 3), "shards": (64, 4, 4, 3), "compressors": ZstdCodec()},
    {"chunks": (8, 2, 4, 3), "shards": (64, 4, 4, 3), "compressors": None},
    {"chunks": (8, 2, 4, 3), "shards": (64, 2, 4, 3), "compressors": None},
    {"chunks": (8, 4, 4, 3), "shards": (64, 4, 4, 3), "compressors": [BloscCodec(), ZstdCodec()]},
    {"chunks": (8, 4, 4, 3), "shards": (64, 4, 4, 3), "compressors": None, "dtype": "int16"},
]


@pytest.mark.parametrize("how", FOREIGN)
def test_another_layout_is_left_to_zarr(how: dict[str, Any], tmp_path: Path) -> None:
    how = {"dtype": "uint8"} | how
    zarr.create_array(tmp_path / "a", shape=(100, 4, 4, 3), zarr_format=3, **how)
    with pytest.raises(ForeignLayoutError):
        LocalArray(tmp_path / "a")


def test_a_group_is_left_to_zarr(tmp_path: Path) -> None:
    zarr.create_group(tmp_path / "g", zarr_format=3)
    with pytest.raises(ForeignLayoutError):
        LocalArray(tmp_path / "g")


def changes(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where something stands in a JSON value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in pairs if isinstance(value, dict | list) else ():
        yield (*path, key)
        yield from changes(part, (*path, key)) if isinstance(part, dict | list) else ()


@pytest.mark.parametrize("instead", [None, -1, 2.5, "x", True, [], {}, [0], {"name": "x"}], ids=str)
def test_any_other_metadata_is_left_to_zarr(instead: Any, images: tuple[Path, Array]) -> None:
    path = images[0] / "zarr.json"
    good = json.loads(path.read_bytes())
    layout = read_layout(images[0])
    read = 0
    for where in changes(good):
        changed = json.loads(path.read_bytes())
        part = changed
        for key in where[:-1]:
            part = part[key]
        part[where[-1]] = instead
        other = path.parent.parent / "other"
        other.mkdir(exist_ok=True)
        (other / "zarr.json").write_text(json.dumps(changed))
        try:
            found = read_layout(other)
        except ForeignLayoutError:
            continue
        read += 1
        assert (found.shape, found.chunk_rows, found.shard_rows, found.compressed) == (
            *(layout.shape, layout.chunk_rows, layout.shard_rows, layout.compressed),
        )
        # What is said of these doesn't matter to who reads: Blosc's header has it, too.
        assert where[0] in {"attributes", "fill_value", "storage_transformers"} or (
            "configuration" in where and where[4:] != () and where[3] == "codecs"
        )
    assert read


def test_what_it_does_not_know_may_change_all_else(images: tuple[Path, Array]) -> None:
    path = images[0] / "zarr.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"reversed": True}))
    with pytest.raises(ForeignLayoutError):
        LocalArray(images[0])


def test_more_files_than_may_be_open(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    data = made_up((10 * 4096, 1), "float32")
    folder = write(tmp_path, "a", data)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 5, limits[1]))
    try:
        with pytest.raises(ForeignLayoutError, match="too many files"):
            LocalArray(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    np.testing.assert_array_equal(LocalArray(folder)[:], data)


def test_a_copied_array_reads_the_same(images: tuple[Path, Array], tmp_path: Path) -> None:
    copy = shutil.copytree(images[0], tmp_path / "elsewhere")
    np.testing.assert_array_equal(LocalArray(copy)[:], images[1])
