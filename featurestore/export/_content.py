"""What every form of export has in it, read in parts."""

import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from featurestore._layout import images_name
from featurestore._records import SPLITS
from featurestore._store import FeatureStore

FORMAT = "emotion-bench export"
BLOCK_ROWS = 1024  # rows read at a time: whole chunks of the store
BLOCK_BYTES = 16 * 1024 * 1024  # and not more than this, where images are large

Block = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Column:
    """One array of an export.

    Attributes
    ----------
    name : str
        "images", "images_<px>", "embeddings/<backbone>", "labels", "label_strength", "split" or
        "id".
    shape : (n, ...)
    dtype : numpy.dtype
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def row_bytes(self) -> int:
        """Bytes that a row takes in memory."""
        return int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize


class Content:
    """A store's rows and what is said about them, for a writer of some form.

    Parameters
    ----------
    store : FeatureStore
    step : callable
        Gets the number of bytes each time that some have been read.

    Attributes
    ----------
    columns : dict from name to Column
        Images by size, embeddings, labels int64, label_strength float32 (n, labels), split uint8
        and id S64: the sha256 of the file that each image came from, in hex.
    image_names : dict from px to the name of the column of images of that size
    """

    def __init__(
        self, store: FeatureStore, step: Callable[[int], object] = lambda size: None
    ) -> None:
        self.store = store
        self._step = step
        # Reads end in a thread of their own when Ctrl-C ends the rest: zarr complains at length of
        # any that didn't.
        self._reader = ThreadPoolExecutor(1)
        self.label_names = store.label_names
        self.image_names = {side: images_name(side) for side in store.image_sizes}
        self.embedding_names = {name: f"embeddings/{name}" for name in store.backbones}
        self._arrays: dict[str, Any] = {
            name: store.array(name)
            for name in (*self.image_names.values(), *self.embedding_names.values())
        }
        self._arrays |= {
            "labels": store.labels,
            "label_strength": store.label_strength,
            "split": store.splits,
            "id": _ids(store),
        }
        self.columns = {
            name: Column(name, tuple(array.shape), np.dtype(array.dtype))
            for name, array in self._arrays.items()
        }

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.store)

    @property
    def nbytes(self) -> int:
        """Bytes of all columns in memory."""
        return sum(len(self) * column.row_bytes for column in self.columns.values())

    @property
    def metadata(self) -> dict[str, Any]:
        """What an export says about itself, to be written as JSON or as attributes."""
        source = self.store.attributes["source"]
        return {
            "format": FORMAT,
            "fingerprint": self.store.fingerprint,
            "title": source["title"],
            "synthetic": bool(source["synthetic"]),
            "label_names": list(self.label_names),
            "split_names": list(SPLITS),
            "rows": len(self),
            "image_sizes": list(self.image_names),
            "backbones": self.store.attributes["backbones"],
        }

    def parts(self, name: str) -> Iterator[tuple[int, npt.NDArray[Any]]]:
        """Yield (first row, rows (k, ...)) of a column, from front to back."""
        rows = rows_at_a_time(self.columns[name].row_bytes)
        for start in range(0, len(self), rows):
            yield start, self._read(name, start, min(start + rows, len(self)))

    def blocks(self) -> Iterator[tuple[int, Block]]:
        """Yield (first row, the same rows of every column), from front to back."""
        rows = rows_at_a_time(sum(column.row_bytes for column in self.columns.values()))
        for start in range(0, len(self), rows):
            stop = min(start + rows, len(self))
            yield start, {name: self._read(name, start, stop) for name in self.columns}

    def _read(self, name: str, start: int, stop: int) -> npt.NDArray[Any]:
        with self.store.reading(name):
            part = self._reader.submit(self._load, name, start, stop).result()
        self._step(part.nbytes)
        return part

    def _load(self, name: str, start: int, stop: int) -> npt.NDArray[Any]:
        return np.asarray(self._arrays[name][start:stop])


def rows_at_a_time(row_bytes: int) -> int:
    """Return how many rows are read at a time; it depends on nothing but their size."""
    return max(1, min(BLOCK_ROWS, BLOCK_BYTES // max(row_bytes, 1)))


def encode_png(image: npt.NDArray[np.uint8]) -> bytes:
    """Return an image, uint8 (h, w, 3), as the bytes of a PNG file, which loses nothing."""
    buffer = io.BytesIO()
    # Level 1 is half the time of Pillow's own 6, for a file that is a few hundredths larger.
    Image.fromarray(image).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _ids(store: FeatureStore) -> npt.NDArray[np.bytes_]:
    """Return the sha256 (hex) of the file of each row, S64 (n,)."""
    manifest = store.manifest()
    kept = np.flatnonzero(manifest["row"] >= 0)
    ids = np.zeros(len(store), "S64")
    ids[manifest["row"][kept]] = manifest["sha256"][kept].astype("U64").astype("S64")
    return ids
