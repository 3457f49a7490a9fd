"""What fitting has in common, whatever is learned from: its checks, and that it fails cleanly."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from featurestore._savable import SavableModel

Array = npt.NDArray[Any]


class TrainingDivergedError(ArithmeticError):
    """The loss is not a number any more."""


class TrainableModel(ClassifierMixin, SavableModel):  # type: ignore[misc]
    """A classifier that is unfitted after a fit that failed, whatever an earlier one had learned.

    A subclass' ``fit`` calls ``_forget`` first, and the last of ``saved_names`` comes when all else
    is learned.
    """

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether all that predicting needs is there."""
        return all(hasattr(self, name) for name in self.saved_names())

    def _forget(self) -> None:
        """Take back what an earlier fit learned: whatever ends in an underscore."""
        for name in [name for name in vars(self) if name.endswith("_") and name[0] != "_"]:
            delattr(self, name)


def require(holds: bool, name: str, value: object, what: str) -> None:
    """Refuse the value of the parameter ``name`` unless it is ``what`` it must be.

    Raises
    ------
    ValueError
    """
    if not holds:
        raise ValueError(f"{name} is {value!r}; it must be {what}")


def label_codes(y: Array, model: str) -> tuple[Array, Array]:
    """Return the sorted labels, (classes,), and the place of each of y among them, int (n,).

    Raises
    ------
    ValueError
        If y holds no labels, or one alone; it names the ``model`` that needs them.
    """
    check_classification_targets(y)
    classes, codes = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"{model} needs two classes, y holds one class")
    return classes, codes


def dev_codes(X_dev: Any, y_dev: Any, classes: Array) -> tuple[Array, Array] | None:
    """Return which rows of a development set have known labels, and those labels' codes.

    Parameters
    ----------
    X_dev : sequence of m rows, or None
    y_dev : (m,), or None
    classes : (classes,), sorted

    Returns
    -------
    (bool (m,), int (known,)), or None if there is no set, or none of its labels is known

    Raises
    ------
    ValueError
        If only one of both is given, or their lengths differ.
    """
    if X_dev is None and y_dev is None:
        return None
    if X_dev is None or y_dev is None:
        given, missing = ("y_dev", "X_dev") if X_dev is None else ("X_dev", "y_dev")
        raise ValueError(f"{given} is given without {missing}; give both or none")
    y_dev = column_or_1d(y_dev)
    if len(X_dev) != len(y_dev):
        raise ValueError(
            f"X_dev has {len(X_dev)} rows, y_dev {len(y_dev)} labels; a label for each is needed"
        )
    known = np.isin(y_dev, classes)
    return (known, np.searchsorted(classes, y_dev[known])) if known.any() else None
