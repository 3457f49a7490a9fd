"""From a finished staging folder to the store itself.

Everything here is a function of the records, the outcomes and the settings. It may be killed and
started again at any point: until the last write, of the root's ``zarr.json``, nobody takes the
folder for a store.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from featurestore._decode import THUMBNAIL
from featurestore._layout import (
    COLUMN_ROWS,
    FORMAT,
    FORMAT_VERSION,
    LEFT_OUT_KINDS,
    SHARD_ROWS,
    blocks,
    create_column,
    create_pixels,
)
from featurestore._records import Record
from featurestore._select import Selection
from featurestore._staging import Outcomes, Staging


def assemble(
    store: Path,
    records: Sequence[Record],
    outcomes: Outcomes,
    selection: Selection,
    staging: Staging,
    attributes: dict[str, Any],
) -> None:
    """Write the arrays, then the checksums and attributes as the commit marker.

    Parameters
    ----------
    store : Path
    records, outcomes, selection
        In store order.
    staging : Staging
        Where the pixels and embeddings are.
    attributes : dict
        ``label_names``, ``source``, ``settings``, ``backbones`` (one) and ``versions``.
    """
    _clear(store)
    (backbone, about), *_ = attributes["backbones"].items()
    pixels = {
        "images": ("uint8", (THUMBNAIL, THUMBNAIL, 3)),
        f"embeddings/{backbone}": ("float32", (about["dims"],)),
    }
    digests = _write_pixels(store, outcomes, selection, staging, pixels)
    columns: dict[str, npt.NDArray[Any]] = {
        "labels": selection.labels,
        "label_strength": selection.label_strength,
        "split": selection.splits,
    }
    digests |= {name: _write(store, name, column) for name, column in columns.items()}
    for name, column in _manifest(records, outcomes, selection).items():
        _write(store, f"manifest/{name}", column)
    for group in ("embeddings", "manifest"):
        zarr.create_group(store / group, zarr_format=3)

    root = {"format": FORMAT, "format_version": FORMAT_VERSION} | attributes
    root["digests"] = digests
    root["fingerprint"] = _sha256_json({"digests": digests, "labels": root["label_names"]})
    root["objects"] = {key: hash_object(store / key, durable=True) for key in list_objects(store)}
    root["checksum"] = checksum(root)
    zarr.create_group(store, attributes=root, zarr_format=3)


def checksum(attributes: dict[str, Any]) -> str:
    """Return the sha256 of a root's attributes, apart from the checksum itself."""
    return _sha256_json({k: v for k, v in attributes.items() if k != "checksum"})


def list_objects(store: Path) -> list[str]:
    """Return the keys of all files of a store except its root and its staging folder, sorted."""
    keys = []
    for folder, subfolders, files in os.walk(store):
        at_root = Path(folder) == store
        if at_root and ".staging" in subfolders:
            subfolders.remove(".staging")
        here = Path(folder).relative_to(store)
        keys += [(here / f).as_posix() for f in files if not (at_root and f == "zarr.json")]
    return sorted(keys)


def hash_object(path: Path, *, durable: bool = False) -> str:
    """Return the sha256 of a file; with ``durable``, see to it that it has reached the disk."""
    with path.open("rb") as file:
        if durable:
            os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()


def _clear(store: Path) -> None:
    """Remove what an assembly that was killed has left."""
    for path in store.iterdir():
        if path.name != ".staging":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _write_pixels(
    store: Path,
    outcomes: Outcomes,
    selection: Selection,
    staging: Staging,
    wanted: dict[str, tuple[str, tuple[int, ...]]],
) -> dict[str, str]:
    """Write images and embeddings, shard by shard; return their digests."""
    count = len(selection.records)
    arrays, hashes, buffers = [], [], []
    for name, (dtype, tail) in wanted.items():
        arrays.append(create_pixels(store, name, (count, *tail), dtype))
        hashes.append(hashlib.sha256())
        buffers.append(np.empty((SHARD_ROWS, *tail), dtype))
    for start, stop in blocks(count, SHARD_ROWS):
        rows = selection.records[start:stop]
        segments, positions = outcomes.segment[rows], outcomes.position[rows]
        for number in np.unique(segments):
            part = staging.read_arrays(int(number))
            here = np.flatnonzero(segments == number)
            for block, source in zip(buffers, ("images", "embeddings"), strict=True):
                block[here] = part[source][positions[here]]
        for array, digest, block in zip(arrays, hashes, buffers, strict=True):
            full = block[: stop - start]
            array[start:stop] = full
            digest.update(hashlib.sha256(full.tobytes()).digest())
    return {name: digest.hexdigest() for name, digest in zip(wanted, hashes, strict=True)}


def _write(store: Path, name: str, column: npt.NDArray[Any]) -> str:
    """Write a small array, file by file; return its digest, the sha256 of its blocks' sha256."""
    is_text = column.dtype.kind in "OT"
    array = create_column(store, name, column.shape, "string" if is_text else column.dtype.name)
    digest = hashlib.sha256()
    for start, stop in blocks(len(column), COLUMN_ROWS):
        block = column[start:stop]
        array[start:stop] = block
        if not is_text:
            digest.update(hashlib.sha256(block.tobytes()).digest())
    return digest.hexdigest()


def _manifest(
    records: Sequence[Record], outcomes: Outcomes, selection: Selection
) -> dict[str, npt.NDArray[Any]]:
    row = np.full(len(records), -1, np.int64)
    row[selection.records] = np.arange(len(selection.records))
    status = [_status(kind) for kind in selection.kind]
    return {
        "id": _texts([r.id for r in records]),
        "source": _texts([r.origin for r in records]),
        "label": selection.label_of_record,
        "agree": np.array([r.agree for r in records], np.int64),
        "disagree": np.array([r.disagree for r in records], np.int64),
        "status": _texts(status),
        "kind": _texts(selection.kind),
        "detail": _texts(selection.detail),
        "bytes": outcomes.size,
        "width": outcomes.width,
        "height": outcomes.height,
        "format": _texts(outcomes.format),
        "sha256": _texts(outcomes.sha256),
        "row": row,
    }


def _status(kind: str) -> str:
    if not kind:
        return "kept"
    return "left_out" if kind in LEFT_OUT_KINDS else "failed"


def _texts(values: Sequence[str]) -> npt.NDArray[Any]:
    # A file name that isn't UTF-8 can't be stored as such; show its odd bytes.
    safe = [v.encode("utf-8", "backslashreplace").decode() for v in values]
    return np.array(safe, dtype=np.dtypes.StringDType())


def _sha256_json(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
