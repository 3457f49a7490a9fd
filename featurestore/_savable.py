"""Estimators that can be saved, and opening them again."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from featurestore._model_file import ModelFile, SavedModelError, read_model, write_model

M = TypeVar("M", bound="SavableModel")


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
        values = {name: getattr(self, name) for name in self.saved_names()}
        model = ModelFile(type(self).__name__, self.get_params(), values)
        write_model(Path(path), model, fingerprint, label_names)

    def saved_names(self) -> tuple[str, ...]:
        """Return the names of the attributes that a saved model consists of."""
        return ("classes_", *self._learned)


def loader(kinds: Sequence[type[M]]) -> Callable[..., M]:
    """Return a function that opens saved models of these kinds."""
    known = {kind.__name__: kind for kind in kinds}

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
        file = read_model(path, fingerprint, label_names)
        if file.name not in known:
            raise SavedModelError(f"{path}: holds a {file.name}, which is no model here")
        try:
            model = known[file.name](**file.settings)
            for name in model.saved_names():
                setattr(model, name, file.values[name])
        except (KeyError, TypeError) as error:
            raise SavedModelError(f"{path}: holds no model that can be read ({error})") from None
        return model

    return load_model
