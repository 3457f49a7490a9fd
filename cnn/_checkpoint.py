"""What training needs to go on after a stop, in one file that is whole or not there."""

import hashlib
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from cnn._images import Images
from featurestore._files import write_durably
from featurestore._npz import read_npz

# Of images that aren't in memory so many slices of so many rows tell a data set from others:
# reading all of a large store would take as long as an epoch's reading does.
DIGEST_SLICES, DIGEST_ROWS = 32, 16


def save(path: Path, about: dict[str, Any], state: dict[str, Any], arrays: list[Any]) -> None:
    """Write a checkpoint.

    Parameters
    ----------
    path : Path
    about : dict
        Settings and data: a checkpoint of other ones is none.
    state : dict
        Epochs done, curves and the like, as JSON.
    arrays : list of array
    """
    buffer = io.BytesIO()
    text = json.dumps({"about": about, "state": state})
    np.savez(buffer, text=np.array(text), **{str(i): array for i, array in enumerate(arrays)})
    write_durably(path, buffer.getvalue())


def load(path: Path, about: dict[str, Any]) -> tuple[dict[str, Any], list[Any]] | None:
    """Return (state, arrays) of a checkpoint with the same ``about``, or None."""
    try:
        found = read_npz(path)
        text = json.loads(str(found.pop("text")))
        if text["about"] != json.loads(json.dumps(about)):
            return None
        return text["state"], [found[str(i)] for i in range(len(found))]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None  # there is none, or it is damaged; training starts anew


def digest(array: Any) -> str:
    """Return what tells an array from others."""
    return _digest([array], array.shape)


def images_digest(images: Images) -> str:
    """Return what tells images from others: all of them in memory, else slices spread evenly."""
    rows = len(images)
    if isinstance(images, np.ndarray):
        starts = range(0, rows, DIGEST_ROWS)
    else:
        last = max(rows - DIGEST_ROWS, 0)
        starts = np.unique(np.linspace(0, last, DIGEST_SLICES).astype(int)).tolist()
    return _digest((images[a : a + DIGEST_ROWS] for a in starts), images.shape)


def _digest(parts: Iterable[Any], shape: tuple[int, ...]) -> str:
    found = hashlib.sha256(repr(tuple(shape)).encode())
    for part in parts:
        found.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
    return found.hexdigest()
