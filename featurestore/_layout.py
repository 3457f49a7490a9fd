"""How a store lies on disk. ``docs/store-layout.md`` has the measurements behind the numbers.

STORE/zarr.json                     the commit marker: written last, in one piece
STORE/images                        uint8 (n, 32, 32, 3)
STORE/images_<side>                 uint8 (n, side, side, 3), for each larger size asked for
STORE/embeddings/<backbone>         float32 (n, dims)
STORE/labels                        int64 (n,)
STORE/label_strength                float32 (n, labels)
STORE/split                         uint8 (n,)
STORE/manifest/<column>             (m,), a row for each record that the source named
"""

from collections.abc import Iterator
from typing import Any

import zarr
from zarr.codecs import BloscCodec, ZstdCodec

from featurestore._decode import THUMBNAIL
from featurestore._place import Place

FORMAT = "emotion-bench feature store"
FORMAT_VERSION = 1

# Images and embeddings: a shard is a file (25 of them for 100,000 rows), a chunk what is decoded.
# Larger images have fewer rows in each, so that both stay at about as many bytes.
SHARD_ROWS = 4096
CHUNK_ROWS = 256
# Everything else is small: one file holds all of most stores.
COLUMN_ROWS = 65536

LEFT_OUT_KINDS = ("votes", "duplicate")


def images_name(side: int) -> str:
    """Return what the array of images of a size is called."""
    return "images" if side == THUMBNAIL else f"images_{side}"


def create_pixels(store: Place, name: str, shape: tuple[int, ...], dtype: str) -> Any:
    """Create the array of images, or of embeddings, without touching the store's root.

    Images are compressed; bits of like weight lie together, which is where neighbouring pixels
    agree. Embeddings are not: they would shrink by a fifth and load at less than half the speed.

    Parameters
    ----------
    store : Place
    name : str
        Such as "embeddings/mobilenet".
    shape : tuple of int
    dtype : {"uint8", "float32"}
    """
    bits = BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle", typesize=1)
    rows = _rows_per_chunk(shape)
    return zarr.create_array(
        store.zarr(name),
        shape=shape,
        dtype=dtype,
        chunks=(rows, *shape[1:]),
        shards=(rows * (SHARD_ROWS // CHUNK_ROWS), *shape[1:]),
        compressors=bits if dtype == "uint8" else None,
        zarr_format=3,
        config=_WRITE_ALL,
    )


def _rows_per_chunk(shape: tuple[int, ...]) -> int:
    """Return as many rows of larger images as take the room of a chunk of 32 px ones."""
    if len(shape) < 4:
        return CHUNK_ROWS
    _, height, width, _ = shape
    return max(1, CHUNK_ROWS * THUMBNAIL**2 // (height * width))


def create_column(store: Place, name: str, shape: tuple[int, ...], dtype: str) -> Any:
    """Create one of the small arrays, without touching the store's root.

    Parameters
    ----------
    store : Place
    name : str
        Such as "manifest/id".
    shape : tuple of int
    dtype : str
        A NumPy dtype, or "string" for variable-length UTF-8.
    """
    return zarr.create_array(
        store.zarr(name),
        shape=shape,
        dtype=dtype,
        chunks=(COLUMN_ROWS, *shape[1:]),
        compressors=ZstdCodec(level=3),
        zarr_format=3,
        config=_WRITE_ALL,
    )


def open_to_read(store: Place, name: str) -> Any:
    """Open one of the large arrays to be read."""
    return zarr.open_array(store.zarr(name), mode="r")


def open_to_write(store: Place, name: str) -> Any:
    """Open one of the large arrays, which was created, to write shards of it."""
    with zarr.config.set({"array.write_empty_chunks": True}):
        return zarr.open_array(store.zarr(name), mode="r+")


# By default a chunk of zeros has no file, and a lost one would read as zeros.
_WRITE_ALL: Any = {"write_empty_chunks": True}


def blocks(count: int, rows: int) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of each file of an array with ``rows`` rows in a file."""
    for start in range(0, count, rows):
        yield start, min(start + rows, count)
