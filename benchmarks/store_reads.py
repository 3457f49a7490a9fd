"""Measure reading a store's arrays beside the same rows in other formats on the same disk.

    python benchmarks/store_reads.py --images-from cifar10/ --json store_reads.json
    python benchmarks/store_reads.py --images-from cifar10/ --write    into docs/store-layout.md

Images of 32 px, images of 160 px and embeddings are written as a store has them, and as an npy file
that is read as a memmap, as HDF5 (in one block; and in a store's chunks, with gzip where a store
compresses), as Parquet and as TFRecords (both as `bench export` writes them: PNG files, lists of
floats). "zarr" reads the store's own files. All is read from a warm page cache.

    sequential  from front to back, 256 rows at a time
    training    batches of 256 in random order, as cnn trains on them, which holds images in memory;
                TFRecords are shuffled by tf.data instead
    random      256 random rows at a time, an epoch; TFRecords have no such thing
    one row     random rows, one at a time

"first" is by a reader that has just been opened, "later" the same once more. A store and a peer
read by turns, round by round; a ratio above 1 says that the store is faster, or smaller. A peer
that is slow is stopped after half a second, but for loading an array into memory.
"""

import argparse
import gc
import io
import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import _table
import h5py
import larger_images
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import store_layout
import zarr
from PIL import Image

from cnn._images import Batches
from featurestore._layout import create_pixels
from featurestore._place import place_of
from featurestore._rows import ZarrRows
from featurestore._shards import LocalArray
from featurestore._tensorflow import load_tensorflow
from featurestore.errors import StoreDamagedError
from featurestore.export._content import encode_png, rows_at_a_time

Array = npt.NDArray[Any]
ARRAYS = ("images", "images_160", "embeddings")
BATCH = 256
ENOUGH, ALL = 0.5, float("inf")  # s, after which nothing more is read
SINGLE = 1000  # rows read one at a time
DOCUMENT = _table.HERE.parent / "docs" / "store-layout.md"


class Memmap:
    """An npy file."""

    def __init__(self, path: Path, like: Array) -> None:
        self._rows: Any = np.load(path, mmap_mode="r")
        self.shape, self.dtype = self._rows.shape, self._rows.dtype

    @staticmethod
    def write(path: Path, data: Array) -> None:
        with path.open("wb") as file:
            np.save(file, data)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, which: slice) -> Array:
        return np.array(self._rows[which])  # a slice of a memmap has read nothing yet

    def take(self, rows: Array) -> Array:
        return self._rows[rows]


class Hdf5:
    """A data set in one block."""

    def __init__(self, path: Path, like: Array) -> None:
        self._rows = h5py.File(path)["rows"]
        self.shape, self.dtype = self._rows.shape, self._rows.dtype

    @staticmethod
    def write(path: Path, data: Array) -> None:
        with h5py.File(path, "w") as file:
            file.create_dataset("rows", data=data)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, which: slice) -> Array:
        return self._rows[which]

    def take(self, rows: Array) -> Array:
        order = np.argsort(rows)  # h5py wants them ascending
        found = np.empty((len(rows), *self.shape[1:]), self.dtype)
        found[order] = self._rows[rows[order]]
        return found


class ChunkedHdf5(Hdf5):
    """The same in a store's chunks."""

    @staticmethod
    def write(path: Path, data: Array) -> None:
        layout = create_pixels(place_of(path.parent), "chunks", data.shape, str(data.dtype))
        packed = {"compression": "gzip", "shuffle": True} if data.dtype == np.uint8 else {}
        with h5py.File(path, "w") as file:
            chunks = (min(layout.chunks[0], len(data)), *data.shape[1:])
            file.create_dataset("rows", data=data, chunks=chunks, **packed)


class Streamed:
    """What is read from front to back only."""

    def __init__(self, path: Path, like: Array) -> None:
        self._path, self.shape, self.dtype = path, like.shape, like.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, which: slice) -> Array:
        if which != slice(None):
            raise ValueError("is read whole")
        found, start = np.empty(self.shape, self.dtype), 0
        for batch in self.batches():
            found[start : start + len(batch)] = batch
            start += len(batch)
        return found

    def batches(self) -> Iterator[Array]:
        raise NotImplementedError


class Parquet(Streamed):
    """Row groups of PNG files, or of lists of floats."""

    @staticmethod
    def write(path: Path, data: Array) -> None:
        rows = rows_at_a_time(data[0].nbytes)
        writer = None
        for start in range(0, len(data), rows):
            part = data[start : start + rows]
            if data.dtype == np.uint8:
                column: Any = pa.array([encode_png(image) for image in part], pa.binary())
            else:
                column = pa.FixedSizeListArray.from_arrays(pa.array(part.ravel()), data.shape[1])
            table = pa.table({"rows": column})
            writer = writer or pq.ParquetWriter(
                path, table.schema, compression="zstd", use_dictionary=False
            )
            writer.write_table(table, row_group_size=rows)
        writer.close()

    def batches(self) -> Iterator[Array]:
        with pq.ParquetFile(self._path) as file:
            for batch in file.iter_batches(BATCH):
                yield self._decode(batch["rows"])

    def take(self, rows: Array) -> Array:
        table = pyarrow.dataset.dataset(self._path).take(rows)
        return self._decode(table["rows"].combine_chunks())

    def _decode(self, column: Any) -> Array:
        if self.dtype == np.float32:
            return column.flatten().to_numpy().reshape(-1, self.shape[1])
        return np.stack([np.asarray(Image.open(io.BytesIO(png.as_py()))) for png in column])


class TfRecord(Streamed):
    """Examples with a PNG file, or with floats, each."""

    @staticmethod
    def write(path: Path, data: Array) -> None:
        tf = load_tensorflow()
        with tf.io.TFRecordWriter(str(path)) as writer:
            for row in data:
                if data.dtype == np.uint8:
                    png = tf.train.BytesList(value=[encode_png(row)])
                    feature = tf.train.Feature(bytes_list=png)
                else:
                    feature = tf.train.Feature(float_list=tf.train.FloatList(value=row.tolist()))
                features = tf.train.Features(feature={"row": feature})
                writer.write(tf.train.Example(features=features).SerializeToString())

    def batches(self, shuffled: bool = False) -> Iterator[Array]:
        tf = load_tensorflow()
        is_image = self.dtype == np.uint8
        kind = tf.io.FixedLenFeature(
            [] if is_image else self.shape[1:], "string" if is_image else "float32"
        )

        def decode(text: Any) -> Any:
            row = tf.io.parse_single_example(text, {"row": kind})["row"]
            return tf.io.decode_png(row, 3) if is_image else row

        records = tf.data.TFRecordDataset(str(self._path))
        if shuffled:
            records = records.shuffle(len(self))
        batches = records.map(decode, num_parallel_calls=tf.data.AUTOTUNE).batch(BATCH)
        yield from batches.prefetch(tf.data.AUTOTUNE).as_numpy_iterator()


def write_store(path: Path, data: Array) -> None:
    array = create_pixels(place_of(path.parent), path.name, data.shape, str(data.dtype))
    for start in range(0, len(data), array.shards[0]):
        array[start : start + array.shards[0]] = data[start : start + array.shards[0]]


PEERS: dict[str, Any] = {
    "npy memmap": Memmap,
    "zarr": None,
    "HDF5": Hdf5,
    "HDF5, chunked": ChunkedHdf5,
    "Parquet": Parquet,
    "TFRecord": TfRecord,
}
Actions = Iterable[Callable[[], Array]]


def rate(actions: Actions, enough: float) -> float:
    """Return how many MB of rows a second are read, within about as many seconds."""
    size, start = 0, time.perf_counter()
    for action in actions:
        size += action().nbytes
        if time.perf_counter() - start > enough:
            break
    return size / 1e6 / (time.perf_counter() - start)


def from_iterator(batches: Iterator[Array]) -> Actions:
    while (batch := next(batches, None)) is not None:
        yield lambda batch=batch: batch


def sequential(reader: Any, data: Array) -> Actions:
    if isinstance(reader, Streamed):
        return from_iterator(reader.batches())
    starts = range(0, len(data), BATCH)
    return (lambda start=start: reader[start : start + BATCH] for start in starts)


def training(batches: Any, number: int) -> Actions:
    if isinstance(batches, TfRecord):
        return from_iterator(batches.batches(shuffled=True))
    return from_iterator(pixels for pixels, _ in batches.epoch(number))


def at_random(reader: Any, data: Array, size: int) -> Actions:
    order = np.random.default_rng(len(data)).permutation(len(data))
    count = len(data) // size if size > 1 else min(SINGLE, len(data))
    return (lambda k=k: reader.take(order[k * size : (k + 1) * size]) for k in range(count))


class Reads:
    """The ways in which a reader is measured; those that have "later" in their name come second."""

    def __init__(self, opened: Callable[[], Any], data: Array, enough: float) -> None:
        self._open, self._data, self._enough = opened, data, enough
        self._reader: Any = None
        self._batches: Any = None

    def measure(self, what: str) -> float:
        """Return MB/s."""
        way, _, when = what.partition(", ")
        if not when.startswith("later"):
            self._reader = self._batches = None
            gc.collect()
            self._reader = self._open()
            is_stream = isinstance(self._reader, TfRecord)
            self._batches = self._reader if is_stream else Batches(self._reader, BATCH, 0)
        if way == "sequential":
            return rate(sequential(self._reader, self._data), self._enough)
        if way == "training":
            # What was loaded first counts for all batches.
            enough = self._enough if isinstance(self._batches, TfRecord) else ALL
            return rate(training(self._batches, int(when.startswith("later"))), enough)
        size = 1 if way == "one row" else BATCH
        return rate(at_random(self._reader, self._data, size), self._enough)


WAYS = (
    *("sequential, first", "sequential, later"),
    *("training, first epoch", "training, later epochs"),
    *("random, first", "random, later"),
    *("one row, first", "one row, later"),
)


def size_on_disk(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def check(reader: Any, data: Array) -> None:
    """See to it that what is measured is reading what was written."""
    np.testing.assert_array_equal(np.concatenate([b() for b in sequential(reader, data)]), data)
    if hasattr(reader, "take"):
        rows = np.random.default_rng(1).permutation(len(data))[:50]
        np.testing.assert_array_equal(reader.take(rows), data[rows])


def measure(title: str, data: Array, folder: Path, rounds: int) -> list[_table.Row]:
    write_store(folder / "ours", data)
    paths = {"ours": folder / "ours"}
    opened: dict[str, Callable[[], Any]] = {"ours": lambda: LocalArray(folder / "ours")}
    for number, (peer, kind) in enumerate(PEERS.items()):
        if kind is None:
            opened[peer] = lambda: ZarrRows(
                zarr.open_array(folder / "ours", mode="r"), StoreDamagedError
            )
            continue
        paths[peer] = folder / f"peer{number}"
        kind.write(paths[peer], data)
        opened[peer] = lambda kind=kind, path=paths[peer]: kind(path, data)
    for open_it in opened.values():
        check(open_it(), data)
    rows = [_size(title, peer, paths, data) for peer in PEERS if peer in paths]
    figures: dict[tuple[str, str], list[tuple[float, float]]] = {}
    # What has been stopped would not be what a store has kept for later.
    enough = {name: ENOUGH if name in PEERS else ALL for name in opened}
    reads = {name: Reads(open_it, data, enough[name]) for name, open_it in opened.items()}
    for _ in range(rounds):
        for first, later in zip(WAYS[::2], WAYS[1::2], strict=True):
            for peer in PEERS:
                if first.startswith(("random", "one row")) and PEERS[peer] is TfRecord:
                    continue
                for what in (first, later):
                    pair = reads["ours"].measure(what), reads[peer].measure(what)
                    figures.setdefault((what, peer), []).append(pair)
    for what, peer in ((what, peer) for what in WAYS for peer in PEERS):
        name = f"{title}: {what}"
        if (what, peer) in figures:
            ours, theirs = zip(*figures[what, peer], strict=True)
            rows.append(_table.compare(name, peer, ours, theirs, "MB/s"))
        else:
            rows.append(_table.missing(name, peer, "has no random access"))
    return rows


def _size(title: str, peer: str, paths: dict[str, Path], data: Array) -> _table.Row:
    ours, theirs = (size_on_disk(paths[name]) / data.nbytes for name in ("ours", peer))
    return _table.compare(f"{title}: size", peer, [ours], [theirs], "of raw", less=True)


def show(rows: list[_table.Row]) -> str:
    """Return one line for what was done, with the ratios to all peers."""
    lines: dict[str, list[str]] = {}
    for row in rows:
        line = lines.setdefault(row["what"], [row["what"], ""] + [""] * len(PEERS))
        if "reason" in row:
            continue
        line[1] = line[1] or f"{_table.number(row['ours'])} {row['unit']}"
        low, high = (_table.number(ratio) for ratio in row["spread"])
        between = f" ({low} .. {high})" if low != high else ""
        line[2 + list(PEERS).index(row["peer"])] = _table.number(row["ratio"]) + between
    head = ["what", "store", *(f"x {peer}" for peer in PEERS)]
    return _table.markdown(head, list(lines.values()))


def build(args: argparse.Namespace) -> Iterator[tuple[str, str, Array]]:
    """Yield each array's title, what it is made of, and its rows."""
    rng = np.random.default_rng(0)
    if "images" in args.arrays:
        if args.images_from:
            images = store_layout.load_images(args.images_from, rng)
            about = f"{min(len(images), args.rows):,} photographs"
            about += ", and flipped and shifted copies of them" * (len(images) < args.rows)
        else:
            images = store_layout.smooth_images(min(args.rows, 5000), rng)
            about = "synthetic: smooth colours and noise"
        yield "images, 32 px", about, store_layout.augment(images, args.rows, rng)
    if "images_160" in args.arrays:
        photos = packaged_photographs()
        about = f"windows of {len(photos)} photographs of scikit-learn and matplotlib"
        yield "images, 160 px", about, larger_images.cut_windows(photos, 160, args.large_rows, rng)
    if "embeddings" in args.arrays:
        data = store_layout.pooled_like(args.rows, rng)
        yield "embeddings, 1024-d", "synthetic: non-negative and skewed", data


def packaged_photographs() -> list[Path]:
    import matplotlib
    import sklearn

    samples = Path(sklearn.__file__).parent / "datasets" / "images"
    portrait = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    return [samples / "china.jpg", samples / "flower.jpg", portrait]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images-from", type=Path, help="folder of JPEGs (searched below too)")
    parser.add_argument("--arrays", nargs="+", choices=ARRAYS, default=ARRAYS)
    parser.add_argument("--rows", type=int, default=20_000, help="of 32 px, and of embeddings")
    parser.add_argument("--large-rows", type=int, default=4_000, help="of 160 px")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--temp", type=Path, help="where to put the data (default: system temp)")
    parser.add_argument("--json", type=Path, help="file to write the rows to")
    parser.add_argument("--write", action="store_true", help=f"put the table into {DOCUMENT.name}")
    args = parser.parse_args()
    rows: list[_table.Row] = []
    made_of = []
    for title, about, data in build(args):
        made_of.append(f"{title}: {len(data):,} rows, {data.nbytes / 1e6:.0f} MB, {about}.")
        print(made_of[-1], flush=True)
        with tempfile.TemporaryDirectory(dir=args.temp) as folder:
            rows += measure(title, data, Path(folder), args.rounds)
    print(show(rows), flush=True)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    if args.write:
        _table.put(DOCUMENT, "store_reads.py", show(rows) + "\n\n" + "\n".join(made_of))


if __name__ == "__main__":
    main()
