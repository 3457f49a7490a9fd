"""The images that lie nearest in the space of embeddings."""

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

READ_ROWS = 4096  # a file of a store's embeddings
_EXACT_ROWS = 4096
# How far float32 sums of 1,024 products of unit vectors are from the exact ones, at the most.
_SLACK = 1e-5


class Neighbours:
    """Nearest neighbours by cosine similarity.

    The embeddings are read and scaled to unit length when they are first needed, and then stay in
    memory: 400 MB for 100,000 of 1,024 numbers. It may be used from many threads.

    Parameters
    ----------
    embeddings : zarr.Array or array, float32 (n, dims)
    """

    def __init__(self, embeddings: Any) -> None:
        self._embeddings = embeddings
        self._matrix: npt.NDArray[np.float32] | None = None
        self._lock = threading.Lock()

    def of_row(self, row: int, count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Return the nearest neighbours of a row, without itself; as ``of`` does."""
        return self._nearest(self._units()[row], count, row)

    def of(
        self, embedding: npt.NDArray[np.float32], count: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Return the rows nearest to an embedding and their similarities.

        Parameters
        ----------
        embedding : float32 (dims,)
        count : int
            How many are wanted; there may be fewer.

        Returns
        -------
        int64 (k,) and float64 (k,) within -1..1, the nearest first; equally near ones as stored.
        """
        unit = embedding.astype(np.float32)[None].copy()
        _scale(unit)
        return self._nearest(unit[0], count, None)

    def _nearest(
        self, unit: npt.NDArray[np.float32], count: int, without: int | None
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        matrix = self._units()
        near = matrix @ unit
        if without is not None:
            near[without] = -np.inf
        there = len(near) - (without is not None)
        count = min(count, there)
        if count <= 0:
            return np.empty(0, np.int64), np.empty(0)
        # The last bits of a fast product depend on where in the matrix a row stands. So whatever
        # may be among the nearest is computed again, one row like the other.
        limit = np.partition(near, len(near) - count)[len(near) - count] - 2 * _SLACK
        rows = np.flatnonzero(near >= limit)
        exact = np.concatenate(list(_products(matrix, rows, unit.astype(np.float64))))
        order = np.argsort(-exact, kind="stable")[:count]
        return rows[order], np.clip(exact[order], -1, 1)

    def _units(self) -> npt.NDArray[np.float32]:
        """Return all embeddings at unit length, float32 (n, dims)."""
        with self._lock:
            if self._matrix is None:
                # Read into place: what it takes at most is the matrix and one file of the store.
                matrix = np.empty(self._embeddings.shape, np.float32)
                for start in range(0, len(matrix), READ_ROWS):
                    part = slice(start, start + READ_ROWS)
                    matrix[part] = self._embeddings[part]
                    _scale(matrix[part])
                self._matrix = matrix
            return self._matrix


def _products(
    matrix: npt.NDArray[np.float32], rows: npt.NDArray[np.int64], unit: npt.NDArray[np.float64]
) -> Iterator[npt.NDArray[np.float64]]:
    for start in range(0, len(rows), _EXACT_ROWS):
        some = matrix[rows[start : start + _EXACT_ROWS]].astype(np.float64)
        yield (some * unit).sum(axis=1)


def _scale(rows: npt.NDArray[np.float32]) -> None:
    """Bring rows to unit length, in place; those of zeros stay."""
    lengths = np.sqrt((rows.astype(np.float64) ** 2).sum(axis=1, keepdims=True))
    np.divide(rows, lengths, out=rows, where=lengths > 0, casting="same_kind")
