"""A store's images as files for a browser."""

import io
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image

from bench._gallery import AS_PNG
from featurestore import FeatureStore

_QUALITY = 90
_KEPT_CHUNKS = 64  # of 0.8 MB each; a page's images lie in few of them, or are asked for again


class NoSuchImageError(Exception):
    """A store has no such row, or keeps its images in no such size."""


class Images:
    """Encodes images when they are asked for.

    Parameters
    ----------
    store : FeatureStore
    """

    def __init__(self, store: FeatureStore) -> None:
        self._store = store
        self._arrays = {size: store.images_at(size) for size in store.image_sizes}
        self._chunk = lru_cache(_KEPT_CHUNKS)(self._read_chunk)

    def encode(self, row: int, size: int) -> tuple[bytes, str]:
        """Return an image of one of the store's sizes as a file, and its media type.

        Raises
        ------
        NoSuchImageError
        StoreDamagedError
            If it can't be read.
        """
        if size not in self._arrays or not 0 <= row < len(self._store):
            raise NoSuchImageError(row)
        number, place = divmod(row, self._arrays[size].chunks[0])
        image = Image.fromarray(self._chunk(size, number)[place])
        buffer = io.BytesIO()
        if size <= AS_PNG:
            image.save(buffer, "PNG", compress_level=1)
            return buffer.getvalue(), "image/png"
        image.save(buffer, "JPEG", quality=_QUALITY)
        return buffer.getvalue(), "image/jpeg"

    def _read_chunk(self, size: int, number: int) -> npt.NDArray[np.uint8]:
        """Return what zarr decodes for one image anyway: a chunk, uint8 (rows, side, side, 3)."""
        array = self._arrays[size]
        start = number * array.chunks[0]
        with self._store.reading(array.path):
            return np.asarray(array[start : start + array.chunks[0]])
