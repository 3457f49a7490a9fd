"""What settings are chosen by: the train and dev splits, and nothing else.

A test split that was looked at while choosing tells nothing any more. So the tuner is never handed
a Dataset but this, which is made without asking the store which of its rows are for testing.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bench._dataset import Dataset
from bench._errors import BenchError
from bench._models import Input
from featurestore._rows import Rows


@dataclass(frozen=True)
class Part:
    """The train or the dev split.

    Attributes
    ----------
    X : float32 (n, features), or Rows of uint8 (n, side, side, 3)
    y : int64 (n,)
    """

    X: npt.NDArray[np.float32] | Rows
    y: npt.NDArray[np.int64]


@dataclass(frozen=True)
class TuningData:
    """Images to learn from, and images to choose settings by.

    Attributes
    ----------
    train, dev : Part
    label_names : tuple of str
    about : dict
        The store's fingerprint, and labels by group, as JSON.
    synthetic : bool
        Whether a program drew the images.
    """

    train: Part
    dev: Part
    label_names: tuple[str, ...]
    about: dict[str, Any]
    synthetic: bool

    @classmethod
    def of(cls, data: Dataset, learns_from: Input) -> "TuningData":
        """Return the train and dev splits of a data set.

        Raises
        ------
        BenchError
            If the store lacks what such a model learns from, or images to choose by.
        """
        store = data.store
        reason = data.lacks(learns_from)
        learned = data.weak_rows() if learns_from == "weak images" else data.rows("train")
        if not reason and not len(learned):
            reason = "has no train images"
        chosen_by = data.rows("dev")
        if not reason and not len(chosen_by):
            reason = "has no dev images, and settings are chosen by those"
        if reason:
            raise BenchError(f"{store.path}: {reason}")
        array = data.reader(learns_from)

        def part(rows: npt.NDArray[np.int64]) -> Part:
            X: Any = Rows(array, rows)
            if learns_from == "embeddings":
                X = X[:].astype(np.float32, copy=False)
            return Part(X, data._labels[rows])

        return cls(
            part(learned),
            part(chosen_by),
            data.label_names,
            {
                "store_fingerprint": store.fingerprint,
                "groups": {name: list(labels) for name, labels in data.groups.items()},
            },
            bool(store.attributes["source"]["synthetic"]),
        )
