"""Reading ``.npz`` files that may be damaged, or made to do harm."""

import io
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from featurestore.errors import in_short

_END = 22  # bytes of the record that ends a zip file


class DamagedArraysError(ValueError):
    """The file holds no arrays that can be read."""


def read_npz(path: str | Path, names: Collection[str] | None = None) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a file that ``np.savez`` wrote, by name; never anything pickled.

    Parameters
    ----------
    path : str or Path
    names : collection of str, optional
        Read these alone.

    Raises
    ------
    FileNotFoundError
    DamagedArraysError
        If the file is damaged, compressed, which none of ours is, or holds anything but arrays.
    """
    with Path(path).open("rb") as raw:
        return read_arrays(raw, names)


def read_arrays(raw: BinaryIO, names: Collection[str] | None = None) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of an open file, as ``read_npz`` does."""
    try:
        with zipfile.ZipFile(raw) as archive:
            # What is stored as it is can't grow beyond the file's own size when it is read.
            if any(member.compress_type for member in archive.infolist()):
                raise DamagedArraysError("it is compressed")
            # zipfile passes over entries that a damaged length hides.
            if _promised(raw) != len(archive.infolist()):
                raise DamagedArraysError("its table of contents is damaged")
        raw.seek(0)
        with np.load(raw, allow_pickle=False) as file:
            return {name: _array(file, name) for name in names or file.files}
    except Exception as error:  # zipfile and NumPy raise many kinds on damaged bytes
        raise DamagedArraysError(in_short(error)) from None


def _promised(raw: BinaryIO) -> int:
    """Return how many members the end of a zip file promises; ours have no comment behind it."""
    raw.seek(-_END, io.SEEK_END)
    return int.from_bytes(raw.read(_END)[10:12], "little")


def _array(file: Any, name: str) -> npt.NDArray[Any]:
    found = file[name]
    if not isinstance(found, np.ndarray):  # what isn't an array comes as bytes
        raise DamagedArraysError(f"{name[:100]!r} is no array")
    return found
