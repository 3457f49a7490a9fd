"""Some rows of a stored array, read when they are asked for."""

from typing import Any

import numpy as np
import numpy.typing as npt


class Rows:
    """Rows of an array of a store, in an order of their own.

    Parameters
    ----------
    array : zarr.Array (n, ...)
    rows : int64 (k,), ascending

    Attributes
    ----------
    shape : (k, ...)
    dtype : numpy.dtype
    """

    def __init__(self, array: Any, rows: npt.NDArray[np.int64]) -> None:
        self._array, self._rows = array, rows
        self.shape: tuple[int, ...] = (len(rows), *array.shape[1:])
        self.dtype = np.dtype(array.dtype)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._rows)

    def __getitem__(self, which: slice) -> npt.NDArray[Any]:
        """Read these of the rows, (j, ...)."""
        rows = self._rows[which]
        if not len(rows):
            return np.empty((0, *self.shape[1:]), self.dtype)
        return np.asarray(self._array.oindex[rows])
