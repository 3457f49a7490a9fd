"""NumPy's ``.npz``: a zip of ``.npy`` files, written member by member."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from featurestore.export._content import Content

_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # a date that is always the same: zip's first


def write(content: Content, target: Path) -> None:
    """Write one file that ``numpy.load`` reads without pickle.

    ``images``, ``images_<px>``, ``embeddings/<backbone>``, ``labels``, ``label_strength``,
    ``split``, ``id`` (n, ...) as in a store; ``label_names`` (labels,); ``metadata``, a JSON text.
    """
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, column in content.columns.items():
            parts = (part for _, part in content.parts(name))
            _write(archive, name, column.shape, column.dtype, parts)
        small = {
            "label_names": np.array(content.label_names),
            "metadata": np.array(json.dumps(content.metadata, ensure_ascii=False)),
        }
        for name, array in small.items():
            _write(archive, name, array.shape, array.dtype, iter([array]))


def _write(
    archive: zipfile.ZipFile,
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    parts: Iterator[npt.NDArray[Any]],
) -> None:
    member = zipfile.ZipInfo(f"{name}.npy", _LONG_AGO)
    member.create_system = 3  # Unix, wherever it is written
    member.external_attr = 0o644 << 16  # else a file that is unpacked can't be opened
    with archive.open(member, "w", force_zip64=True) as file:
        about = {
            "descr": np.lib.format.dtype_to_descr(dtype),
            "fortran_order": False,
            "shape": shape,
        }
        np.lib.format.write_array_header_1_0(file, about)
        for part in parts:
            file.write(np.ascontiguousarray(part).data if part.ndim else part.tobytes())
