"""Saved models: one ``.npz`` file of plain arrays and a JSON text, never a pickle.

A model is saved with the fingerprint of the store that it learned from and the names of its labels,
so that it is not used on another by mistake.
"""

import io
import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from featurestore._files import write_durably

M = TypeVar("M", bound="SavableModel")

FORMAT_VERSION = 1


class SavedModelError(ValueError):
    """The file holds no model of ours, or one of another store or with other labels."""


class SavableModel(BaseEstimator):  # type: ignore[misc]
    """An estimator that can be saved.

    A subclass has ``_learned``: names of the arrays, lists of arrays, numbers and texts that are,
    beside ``classes_``, all that predicting needs.
    """

    _learned: ClassVar[tuple[str, ...]] = ()

    def save(self, path: str | Path, *, fingerprint: str = "", label_names: Any = ()) -> None:
        """Write what was learned into one ``.npz`` file, without pickle; whole or not at all.

        Parameters
        ----------
        path : str or Path
        fingerprint : str
            Of the store that it was trained on.
        label_names : sequence of str
            What the labels are called.

        Raises
        ------
        sklearn.exceptions.NotFittedError
        """
        check_is_fitted(self)
        about: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            "class": type(self).__name__,
            "settings": self.get_params(),
            "store_fingerprint": fingerprint,
            "label_names": list(label_names),
            "lists": {},
        }
        arrays: dict[str, Any] = {}
        for name in self.saved_names():
            value = getattr(self, name)
            if isinstance(value, list):
                about["lists"][name] = len(value)
                arrays |= {f"{name}.{i}": item for i, item in enumerate(value)}
            else:
                array = np.asarray(value)
                # Labels that are Python objects can only be told apart as text.
                arrays[name] = array.astype(str) if array.dtype == object else array
        buffer = io.BytesIO()
        np.savez(buffer, about=np.array(json.dumps(about)), **arrays)
        write_durably(Path(path), buffer.getvalue())

    def saved_names(self) -> tuple[str, ...]:
        """Return the names of the attributes that a saved model consists of."""
        return ("classes_", *self._learned)


def loader(kinds: Sequence[type[M]]) -> Callable[..., M]:
    """Return a function that opens saved models of these kinds."""
    known: dict[str, type] = {kind.__name__: kind for kind in kinds}

    def load_model(
        path: str | Path,
        *,
        fingerprint: str | None = None,
        label_names: Sequence[str] | None = None,
    ) -> M:
        """Return a model that ``save`` wrote; it predicts as it did then.

        Parameters
        ----------
        path : str or Path
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
        model: M = _read(path, known, fingerprint, label_names)
        return model

    return load_model


def _read(
    path: str | Path,
    known: dict[str, type],
    fingerprint: str | None,
    label_names: Sequence[str] | None,
) -> Any:
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
