"""What training needs to go on after a stop, in one file that is whole or not there."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from featurestore._files import write_durably
from featurestore._npz import read_npz


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
