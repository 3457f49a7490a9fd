"""Predictions: each run's probabilities for every image of dev and test, as a Parquet file.

Columns: ``split``, ``image`` (the first 16 hexadecimal digits of its file's SHA-256), ``row`` (in
the store), ``label``, ``predicted``, and ``p_<label>`` for each label.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from featurestore._files import write_durably
from featurestore.errors import in_short


@dataclass(frozen=True)
class Predictions:
    """What a run says of some images.

    Attributes
    ----------
    split : str (n,)
    image : str (n,)
        Digests of the images' files, the same in every store that has them.
    row : int64 (n,)
    label : int64 (n,)
    probabilities : float32 (n, labels)
    """

    split: npt.NDArray[np.str_]
    image: npt.NDArray[np.str_]
    row: npt.NDArray[np.int64]
    label: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float32]

    def of(self, split: str) -> Self:
        """Return those of one split."""
        here = self.split == split
        return type(self)(*(getattr(self, name)[here] for name in self.__dataclass_fields__))

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """The likeliest label of each, int64 (n,)."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def hits(self) -> npt.NDArray[np.bool_]:
        """Whether that is right, bool (n,)."""
        return np.asarray(self.predicted == self.label)


def probabilities_of(model: Any, X: Any, labels: int) -> npt.NDArray[np.float32]:
    """Return what a model makes of X, float32 (n, labels); labels never learned have 0."""
    probabilities = np.zeros((len(X), labels), np.float32)
    if len(X):
        probabilities[:, model.classes_] = model.predict_proba(X)
    return probabilities


def write_predictions(path: Path, found: Predictions, label_names: list[str]) -> None:
    """Write predictions, whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = pa.array(label_names, pa.string())

    def named(codes: npt.NDArray[np.int64]) -> Any:
        return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), names)

    columns = {
        "split": pa.array(found.split.tolist()).dictionary_encode(),
        "image": pa.array(found.image.tolist(), pa.string()),
        "row": pa.array(found.row, pa.int64()),
        "label": named(found.label),
        "predicted": named(found.predicted),
    }
    for code, name in enumerate(label_names):
        columns[f"p_{name}"] = pa.array(found.probabilities[:, code], pa.float32())
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, compression="zstd")
    write_durably(path, buffer.getvalue())


def read_predictions(path: Path) -> Predictions:
    """Return what ``write_predictions`` wrote.

    Raises
    ------
    FileNotFoundError
    ValueError
        If the file holds no predictions.
    """
    import pyarrow.parquet as pq

    content = path.read_bytes()
    try:
        table = pq.read_table(io.BytesIO(content))
        names = [name[2:] for name in table.column_names if name.startswith("p_")]
        codes = {name: code for code, name in enumerate(names)}
        return Predictions(
            np.array(table["split"].to_pylist(), str),
            np.array(table["image"].to_pylist(), str),
            table["row"].to_numpy().astype(np.int64),
            np.array([codes[name] for name in table["label"].to_pylist()], np.int64),
            np.stack([table[f"p_{n}"].to_numpy() for n in names], axis=1).astype(np.float32),
        )
    except Exception as error:  # Arrow and NumPy raise many kinds on damaged bytes
        raise ValueError(f"{path}: holds no predictions: {in_short(error)}") from error
