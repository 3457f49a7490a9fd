"""HDF5, in the shape in which image emotion data sets are passed around: ``image`` and ``emo``."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from featurestore.export._content import Content


def write(content: Content, target: Path) -> None:
    """Write one file.

    ``image`` uint8 (n, 32, 32, 3), ``image_<px>`` for larger ones, ``emo`` uint8 (n, labels), of
    which one is 1, ``embeddings/<backbone>`` float32 (n, dims), ``label_strength`` float32
    (n, labels), ``split`` uint8 (n,), ``id`` ASCII (n,). Nothing is compressed, and rows lie one
    after the other, so that any of them is read at once.
    """
    with h5py.File(target, "w") as file:
        for name in content.columns:
            if name != "labels":
                _copy(file, name.replace("images", "image"), content, name)
        labels = len(content.label_names)
        emo = _create(file, "emo", (len(content), labels), np.dtype(np.uint8))
        for start, ids in content.parts("labels"):
            emo[start : start + len(ids)] = ids[:, None] == np.arange(labels)
        for key, value in content.metadata.items():
            file.attrs[key] = _attribute(value)


def _copy(file: Any, place: str, content: Content, name: str) -> None:
    column = content.columns[name]
    array = _create(file, place, column.shape, column.dtype)
    for start, part in content.parts(name):
        array[start : start + len(part)] = part


def _create(file: Any, place: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    # The time of writing would make each file another.
    return file.create_dataset(place, shape=shape, dtype=dtype, track_times=False)


def _attribute(value: Any) -> Any:
    if isinstance(value, dict):
        return json.dumps(value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        texts = [item.encode() for item in value]  # of fixed length: no heap of pointers to read
        length = max(map(len, texts), default=1)
        return np.array(texts, h5py.string_dtype("utf-8", length))
    return value
