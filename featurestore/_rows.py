"""Some rows of a stored array, read when they are asked for."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt


class RowReader(Protocol):
    """What reads the rows of a stored array, wherever it lies.

    Attributes
    ----------
    shape : (n, ...)
    dtype : numpy.dtype
    """

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, which: slice) -> npt.NDArray[Any]:
        """Read rows one after the other, (k, ...), as a new array."""

    def take(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Read these rows, int64 (k,), in any order; return them, (k, ...), as a new array."""


class ZarrRows:
    """A zarr array as a RowReader.

    Parameters
    ----------
    array : zarr.Array (n, ...)
    reading : callable
        Returns what reads are done in, such as ``FeatureStore.reading`` of the array.

    Attributes
    ----------
    shape : (n, ...)
    dtype : numpy.dtype
    """

    def __init__(self, array: Any, reading: Callable[[], AbstractContextManager[None]]) -> None:
        self._array, self._reading = array, reading
        self.shape: tuple[int, ...] = tuple(array.shape)
        self.dtype = np.dtype(array.dtype)

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.shape[0]

    def __getitem__(self, which: slice) -> npt.NDArray[Any]:
        """Read rows one after the other, (k, ...), as a new array."""
        with self._reading():
            return np.asarray(self._array[which])

    def take(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Read these rows, int64 (k,), in any order; return them, (k, ...), as a new array."""
        if not len(rows):
            return np.empty((0, *self.shape[1:]), self.dtype)
        with self._reading():
            return np.asarray(self._array.oindex[rows])


class Rows:
    """Rows of an array of a store, in an order of their own.

    Parameters
    ----------
    array : RowReader (n, ...)
    rows : int64 (k,)

    Attributes
    ----------
    shape : (k, ...)
    dtype : numpy.dtype
    """

    def __init__(self, array: RowReader, rows: npt.NDArray[np.int64]) -> None:
        self._array, self._rows = array, rows
        self.shape: tuple[int, ...] = (len(rows), *array.shape[1:])
        self.dtype = np.dtype(array.dtype)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._rows)

    def __getitem__(self, which: slice) -> npt.NDArray[Any]:
        """Read these of the rows, (j, ...)."""
        rows = self._rows[which]
        # Rows that lie side by side cost an object store one request, and zarr less to find.
        if len(rows) and (np.diff(rows) == 1).all():
            return self._array[int(rows[0]) : int(rows[-1]) + 1]
        return self._array.take(rows)
