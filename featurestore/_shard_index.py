"""Where the chunks of a large array lie in its files, as ``create_pixels`` has zarr write them.

A shard is a file of whole chunks and an index: an (offset, length) for each of them, and a checksum
of these. The zarr v3 specification describes both.
"""

import json
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import numpy.typing as npt

from featurestore.errors import StoreDamagedError

_ENTRY = 16  # two uint64
_CRC = 4
_NONE = np.iinfo(np.uint64).max  # of a chunk that was never written
# Another version of zarr may add keys, which may change what the others mean.
_KEYS = {
    *("zarr_format", "node_type", "shape", "data_type", "chunk_grid", "chunk_key_encoding"),
    *("fill_value", "codecs", "attributes", "dimension_names", "storage_transformers"),
}


class ForeignLayoutError(Exception):
    """An array isn't laid out as ``create_pixels`` does; zarr may still read it."""


@dataclass(frozen=True)
class Layout:
    """How an array is divided, along its first axis only.

    Attributes
    ----------
    folder : Path
    shape : (n, ...)
    dtype : numpy.dtype
    shard_rows, chunk_rows : int
        Rows in a file, and in a chunk of it.
    compressed : bool
        Whether chunks are compressed by Blosc.
    """

    folder: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    shard_rows: int
    chunk_rows: int
    compressed: bool

    @property
    def row_bytes(self) -> int:
        """Bytes of a row in memory."""
        return prod(self.shape[1:]) * self.dtype.itemsize

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a chunk in memory; the last one is filled up."""
        return self.chunk_rows * self.row_bytes

    @property
    def chunks(self) -> int:
        """How many chunks have rows in them."""
        return -(-self.shape[0] // self.chunk_rows)

    @property
    def shards(self) -> int:
        """How many files there are."""
        return -(-self.shape[0] // self.shard_rows)

    @property
    def chunks_per_shard(self) -> int:
        """How many chunks a file has room for."""
        return self.shard_rows // self.chunk_rows

    @property
    def index_bytes(self) -> int:
        """Bytes at the end of a file that aren't chunks."""
        return self.chunks_per_shard * _ENTRY + _CRC

    def shard_path(self, shard: int) -> Path:
        """Return the path of a file."""
        return self.folder.joinpath("c", str(shard), *("0",) * (len(self.shape) - 1))

    def damaged(self, chunk: int, reason: object) -> StoreDamagedError:
        """Return what to raise when a chunk can't be read."""
        first = chunk * self.chunk_rows
        last = min(first + self.chunk_rows, self.shape[0]) - 1
        return StoreDamagedError(
            f"{self.folder}: rows {first} to {last} can't be read ({reason}); `bench verify` of "
            "its store says more"
        )


def read_layout(folder: Path) -> Layout:
    """Return how an array is laid out.

    Parameters
    ----------
    folder : Path
        Has the array's ``zarr.json``.

    Raises
    ------
    StoreDamagedError
        If its ``zarr.json`` can't be read.
    ForeignLayoutError
        If it is laid out in any other way than ``create_pixels`` does.
    """
    try:
        metadata = json.loads((folder / "zarr.json").read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise StoreDamagedError(
            f"{folder}/zarr.json: can't be read ({error}); put it back from a copy, or delete the "
            "store and make it again"
        ) from None
    match metadata:
        case {
            "zarr_format": 3,
            "node_type": "array",
            "shape": [*shape],
            "data_type": ("uint8" | "float32") as kind,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [*shard]}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "codecs": [
                {
                    "name": "sharding_indexed",
                    "configuration": {
                        "chunk_shape": [*chunk],
                        "codecs": [{"name": "bytes"} as plain, *packed],
                        "index_codecs": [
                            {"name": "bytes", "configuration": {"endian": "little"}},
                            {"name": "crc32c"},
                        ],
                        "index_location": "end",
                    },
                }
            ],
        } if metadata.keys() <= _KEYS and not metadata.get("storage_transformers"):
            pass
        case _:
            raise ForeignLayoutError(f"{folder}: has another layout")
    sizes = [*shape, *shard, *chunk]
    ordered = plain.get("configuration") == {"endian": "little"} or kind == "uint8"
    blosc = [codec.get("name") if isinstance(codec, dict) else None for codec in packed]
    if (
        not all(type(size) is int and size >= 0 for size in sizes)
        or not ordered
        or blosc not in ([], ["blosc"])
        or not shape[1:] == shard[1:] == chunk[1:]
        or not all((*shape[1:], *shard[:1], *chunk[:1]))
        or not len(shape) == len(shard) == len(chunk) > 1
        or shard[0] % chunk[0]
    ):
        raise ForeignLayoutError(f"{folder}: has another layout")
    dtype = np.dtype(kind).newbyteorder("<")
    return Layout(folder, tuple(shape), dtype, shard[0], chunk[0], bool(packed))


def parse_index(layout: Layout, end: bytes, size: int) -> npt.NDArray[np.int64]:
    """Return where a file's chunks lie.

    Parameters
    ----------
    layout : Layout
    end : bytes
        The last ``layout.index_bytes`` of the file.
    size : int
        Of the whole file, bytes.

    Returns
    -------
    int64 (layout.chunks_per_shard, 2)
        Offset and length of each, bytes; both -1 where it was never written.

    Raises
    ------
    ValueError
        If the file is too short, or these bytes aren't an index of it.
    """
    if len(end) < layout.index_bytes:
        raise ValueError("the file is cut short")
    entries = end[:-_CRC]
    if google_crc32c.value(entries) != int.from_bytes(end[-_CRC:], "little"):
        raise ValueError("the checksum of the shard's index is wrong")
    index = np.frombuffer(entries, "<u8").reshape(-1, 2)
    offsets, lengths = index.T
    written = ~(index == _NONE).all(axis=1)
    room = np.uint64(size - layout.index_bytes)
    # In this order: the sum of two wrong numbers may be a small one.
    inside = (lengths <= room) & (offsets <= room - np.minimum(lengths, room))
    if not inside[written].all():
        raise ValueError("the shard's index points beyond its end")
    if not layout.compressed and (lengths[written] != layout.chunk_bytes).any():
        raise ValueError("a chunk has another size")
    places = index.astype(np.int64)
    places[~written] = -1
    return places
