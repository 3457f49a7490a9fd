"""What training needs to go on after a stop, in one file that is whole or not there."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from featurestore._files import write_durably


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
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            text = json.loads(str(file["text"]))
            if text["about"] != json.loads(json.dumps(about)):
                return None
            return text["state"], [file[str(i)] for i in range(len(file.files) - 1)]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None  # of another version; training starts anew
