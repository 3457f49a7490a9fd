"""Saved models: one ``.npz`` file of plain arrays and a JSON text, never a pickle.

A model is saved with the fingerprint of the store that it learned from and the names of its labels,
so that it is not used on another by mistake.
"""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from featurestore._files import write_durably
from featurestore._npz import read_npz
from featurestore.errors import in_short

FORMAT_VERSION = 1


class SavedModelError(ValueError):
    """The file holds no model of ours, or one of another store or with other labels."""


@dataclass(frozen=True)
class ModelFile:
    """What a file holds of a model.

    Attributes
    ----------
    name : str
        Of its class.
    settings : dict
        Its parameters.
    values : dict
        By attribute: an array, a list of arrays, a number or a text.
    """

    name: str
    settings: dict[str, Any]
    values: dict[str, Any]


def write_model(path: Path, model: ModelFile, fingerprint: str, label_names: Sequence[str]) -> None:
    """Write a model, whole or not at all."""
    about: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "class": model.name,
        "settings": model.settings,
        "store_fingerprint": fingerprint,
        "label_names": list(label_names),
        "lists": {},
    }
    arrays: dict[str, Any] = {}
    for name, value in model.values.items():
        if isinstance(value, list):
            about["lists"][name] = len(value)
            arrays |= {f"{name}.{i}": item for i, item in enumerate(value)}
        else:
            array = np.asarray(value)
            # Labels that are Python objects can only be told apart as text.
            arrays[name] = array.astype(str) if array.dtype == object else array
    buffer = io.BytesIO()
    np.savez(buffer, about=np.array(json.dumps(about)), **arrays)
    write_durably(path, buffer.getvalue())


def read_model(
    path: str | Path,
    fingerprint: str | None = None,
    label_names: Sequence[str] | None = None,
) -> ModelFile:
    """Return what ``write_model`` wrote.

    Raises
    ------
    FileNotFoundError
    SavedModelError
        If the file holds no model, or one of another store or with other labels.
    """
    try:
        arrays = read_npz(path)
        about = json.loads(str(arrays.pop("about")))
        version = about["format_version"]
        if version > FORMAT_VERSION:
            raise SavedModelError(
                f"{path}: format version {version}; this program reads up to {FORMAT_VERSION}"
            )
        lists = {
            name: [arrays.pop(f"{name}.{i}") for i in range(count)]
            for name, count in about["lists"].items()
        }
        single = {name: array if array.ndim else array.item() for name, array in arrays.items()}
        found = ModelFile(about["class"], dict(about["settings"]), single | lists)
        theirs, names = about["store_fingerprint"], list(about["label_names"])
    except (SavedModelError, FileNotFoundError):
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SavedModelError(
            f"{path}: holds no model that can be read ({in_short(error)})"
        ) from None
    if fingerprint is not None and fingerprint != theirs:
        raise SavedModelError(
            f"{path}: was trained on another store (fingerprint {theirs[:12] or 'none'}, not "
            f"{fingerprint[:12]})"
        )
    if label_names is not None and list(label_names) != names:
        raise SavedModelError(
            f"{path}: its labels are {', '.join(names)}, not {', '.join(label_names)}"
        )
    return found
