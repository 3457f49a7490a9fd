"""Saved models: one ``.npz`` file of plain arrays and a JSON text, never a pickle.

A model is saved with the fingerprint of the store that it learned from and the names of its labels,
so that it is not used on another by mistake.
"""

import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from featurestore._files import write_durably

FORMAT_VERSION = 1


class SavedModelError(ValueError):
    """The file holds no model of ours, or one of another store or with other labels."""


class Model(Protocol):
    """What can be saved: scikit-learn's parameters, and the names of what was learned."""

    def get_params(self) -> dict[str, Any]: ...

    def saved_names(self) -> tuple[str, ...]: ...


def write_model(path: Path, model: Model, fingerprint: str, label_names: list[str]) -> None:
    """Write a model's parameters and what it learned; the file is there whole or not at all.

    Parameters
    ----------
    path : Path
    model : Model
    fingerprint : str
        Of the store that it was trained on, or "".
    label_names : list of str
    """
    about: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "class": type(model).__name__,
        "settings": model.get_params(),
        "store_fingerprint": fingerprint,
        "label_names": label_names,
        "lists": {},
    }
    arrays: dict[str, Any] = {}
    for name in model.saved_names():
        value = getattr(model, name)
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
    known: dict[str, type],
    fingerprint: str | None = None,
    label_names: Sequence[str] | None = None,
) -> Any:
    """Return a model that ``write_model`` wrote; it predicts as it did then.

    Parameters
    ----------
    path : str or Path
    known : dict of type by name
        The classes that it may be of.
    fingerprint : str, optional
        The store's that it is to be used with; anything else is refused.
    label_names : sequence of str, optional
        What its labels have to be called.

    Raises
    ------
    FileNotFoundError
    SavedModelError
        If the file holds no model, or one of another store or with other labels.
    """
    try:
        with Path(path).open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        about = json.loads(str(arrays.pop("about")))
        version = about["format_version"]
        if version > FORMAT_VERSION:
            raise SavedModelError(
                f"{path}: format version {version}; this program reads up to {FORMAT_VERSION}"
            )
        if about["class"] not in known:
            raise SavedModelError(f"{path}: holds a {about['class']}, which is no model here")
        model = known[about["class"]](**about["settings"])
        for name in model.saved_names():
            value: Any
            if name in about["lists"]:
                value = [arrays[f"{name}.{i}"] for i in range(about["lists"][name])]
            else:
                value = arrays[name] if arrays[name].ndim else arrays[name].item()
            setattr(model, name, value)
    except (SavedModelError, FileNotFoundError):
        raise
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise SavedModelError(f"{path}: holds no model that can be read ({error})") from None
    if fingerprint is not None and fingerprint != about["store_fingerprint"]:
        theirs = about["store_fingerprint"][:12] or "none"
        raise SavedModelError(
            f"{path}: was trained on another store (fingerprint {theirs}, not {fingerprint[:12]})"
        )
    if label_names is not None and list(label_names) != about["label_names"]:
        raise SavedModelError(
            f"{path}: its labels are {', '.join(about['label_names'])}, "
            f"not {', '.join(label_names)}"
        )
    return model
