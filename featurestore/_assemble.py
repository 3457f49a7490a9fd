"""From finished segments to the files of a store.

Everything here is a function of the records, the outcomes and the settings, written into a folder
that nobody reads. It may be killed and started again at any point.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from featurestore._files import checksum, hash_object, list_objects, sha256_json
from featurestore._layout import (
    COLUMN_ROWS,
    FORMAT,
    FORMAT_VERSION,
    LEFT_OUT_KINDS,
    blocks,
    create_column,
    create_pixels,
    images_name,
)
from featurestore._records import Record
from featurestore._segments import Outcomes, Segments
from featurestore._select import Selection
from featurestore._store import FeatureStore, image_sizes

Passes = dict[str, tuple[Segments, Outcomes]]  # by backbone: where its results are
_ReadBlock = Callable[[int, int], npt.NDArray[Any]]  # from (start, stop) to these rows


def assemble_rows(
    folder: Path,
    records: Sequence[Record],
    selection: Selection,
    passes: Passes,
    attributes: dict[str, Any],
    base: FeatureStore | None = None,
) -> None:
    """Write the files of a new store, or those that change in one that gets more rows.

    Parameters
    ----------
    folder : Path
    records : sequence of Record (m,), in store order
    selection : Selection
    passes : dict
        One for each backbone; images and all else are taken from the first.
    attributes : dict
        What the root says, all but near-duplicates, digests and checksums.
    base : FeatureStore, optional
        The store that gets more rows.
    """
    segments, outcomes = next(iter(passes.values()))
    old = len(base) if base is not None else 0
    count = old + len(selection.records)

    def write(
        name: str, tail: tuple[int, ...], dtype: str, segments: Segments, outcomes: Outcomes
    ) -> str:
        there = base.array(name) if base is not None else None
        kind = name.partition("/")[0]
        read = _old_then_new(there, kind, segments, outcomes, selection.records)
        return _write_pixels(folder, name, (count, *tail), dtype, read, old)

    digests: dict[str, str] = {}
    for side in image_sizes(attributes):
        name = images_name(side)
        digests[name] = write(name, (side, side, 3), "uint8", segments, outcomes)
    for backbone, where in passes.items():
        tail = (attributes["backbones"][backbone]["dims"],)
        name = f"embeddings/{backbone}"
        digests[name] = write(name, tail, "float32", *where)

    columns: dict[str, npt.NDArray[Any]] = {
        "labels": selection.labels,
        "label_strength": selection.label_strength,
        "split": selection.splits,
    }
    if base is not None:
        columns = {name: np.concatenate([base.array(name)[:], c]) for name, c in columns.items()}
    digests |= {name: _write_column(folder, name, column) for name, column in columns.items()}
    for name, column in _manifest(records, outcomes, selection, base).items():
        _write_column(folder, f"manifest/{name}", column)
    for group in ("embeddings", "manifest"):
        zarr.create_group(folder / group, zarr_format=3)
    near = _count_near_duplicates(selection.groups, columns["split"])
    _write_root(folder, attributes | {"near_duplicates": near}, digests, base)


def assemble_backbone(
    folder: Path,
    base: FeatureStore,
    backbone: str,
    segments: Segments,
    outcomes: Outcomes,
    records: npt.NDArray[np.int64],
    attributes: dict[str, Any],
) -> None:
    """Write the embeddings of one more backbone, and a root that knows of them.

    Parameters
    ----------
    folder : Path
    base : FeatureStore
    backbone : str
    segments, outcomes
        Where the embeddings are.
    records : int64 (n,), which record each row of the store holds
    attributes : dict
        What the root says, all but digests and checksums.
    """
    name = f"embeddings/{backbone}"
    shape = (len(base), attributes["backbones"][backbone]["dims"])
    read = _old_then_new(None, "embeddings", segments, outcomes, records)
    digest = _write_pixels(folder, name, shape, "float32", read, 0)
    _write_root(folder, attributes, base.attributes["digests"] | {name: digest}, base)


def _old_then_new(
    old: Any, name: str, segments: Segments, outcomes: Outcomes, records: npt.NDArray[np.int64]
) -> _ReadBlock:
    """Return a reader of rows: those of an array, if there is one, and then those of records."""
    first = old.shape[0] if old is not None else 0

    def read(start: int, stop: int) -> npt.NDArray[Any]:
        parts = []
        if start < first:
            parts.append(np.asarray(old[start : min(stop, first)]))
        if stop > first:
            chosen = records[max(start, first) - first : stop - first]
            parts.append(segments.read_rows(name, outcomes, chosen))
        return np.concatenate(parts)

    return read


def _write_pixels(
    folder: Path, name: str, shape: tuple[int, ...], dtype: str, read: _ReadBlock, old: int
) -> str:
    """Write a large array, shard by shard; return its digest, the sha256 of its shards' sha256.

    Of the first ``old`` rows, those in full shards are there already and aren't written again.
    """
    array = create_pixels(folder, name, shape, dtype)
    digest = hashlib.sha256()
    rows = array.shards[0]
    there = old - old % rows
    for start, stop in blocks(shape[0], rows):
        block = read(start, stop)
        if stop > there:
            array[start:stop] = block
        digest.update(hashlib.sha256(block.tobytes()).digest())
    return digest.hexdigest()


def _write_column(folder: Path, name: str, column: npt.NDArray[Any]) -> str:
    """Write a small array, file by file; return its digest, the sha256 of its files' sha256."""
    is_text = column.dtype.kind in "OT"
    array = create_column(folder, name, column.shape, "string" if is_text else column.dtype.name)
    digest = hashlib.sha256()
    for start, stop in blocks(len(column), COLUMN_ROWS):
        block = column[start:stop]
        array[start:stop] = block
        if not is_text:
            digest.update(hashlib.sha256(block.tobytes()).digest())
    return digest.hexdigest()


def _manifest(
    records: Sequence[Record], outcomes: Outcomes, selection: Selection, base: FeatureStore | None
) -> dict[str, npt.NDArray[Any]]:
    """Return the manifest's columns, (m, ...) each."""
    columns = {
        "id": _texts([r.id for r in records]),
        "source": _texts([r.origin for r in records]),
        "label": selection.label_of_record,
        "agree": np.array([r.agree for r in records], np.int64),
        "disagree": np.array([r.disagree for r in records], np.int64),
        "status": _texts([_status(kind) for kind in selection.kind]),
        "kind": _texts(selection.kind),
        "detail": _texts(selection.detail),
        "http_status": outcomes.http_status,
        "tries": outcomes.tries,
        "seconds": outcomes.seconds,
        "final_url": _texts(outcomes.final_url),
        "bytes": outcomes.size,
        "width": outcomes.width,
        "height": outcomes.height,
        "format": _texts(outcomes.format),
        "sha256": _texts(outcomes.sha256),
        "row": np.full(len(records), -1, np.int64),
        "phash": np.zeros(len(records), np.uint64),
        "near_group": np.full(len(records), -1, np.int64),
    }
    if base is not None:  # of the records that weren't tried again, the old manifest knows
        before = base.manifest()
        again = np.array([kind is not None for kind in outcomes.kind])
        columns = {name: np.where(_like(again, c), c, before[name]) for name, c in columns.items()}
    first = len(base) if base is not None else 0
    columns["row"][selection.records] = np.arange(first, first + len(selection.records))
    kept = columns["row"] >= 0
    rows = columns["row"][kept]
    columns["phash"][kept] = selection.hashes[rows]
    columns["near_group"][kept] = selection.groups[rows]
    return columns


def _like(flags: npt.NDArray[np.bool_], column: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return flags (m,) in a shape that broadcasts with a column (m, ...)."""
    return flags.reshape(-1, *(1,) * (column.ndim - 1))


def _status(kind: str) -> str:
    if not kind:
        return "kept"
    return "left_out" if kind in LEFT_OUT_KINDS else "failed"


def _texts(values: Sequence[str]) -> npt.NDArray[Any]:
    # A file name that isn't UTF-8 can't be stored as such; show its odd bytes.
    safe = [v.encode("utf-8", "backslashreplace").decode() for v in values]
    return np.array(safe, dtype=np.dtypes.StringDType())


def _count_near_duplicates(
    groups: npt.NDArray[np.int64], splits: npt.NDArray[np.uint8]
) -> dict[str, int]:
    """Return how many groups of near-duplicates there are, images in them, and on both sides."""
    sizes = np.bincount(groups)
    places = np.unique(np.stack([groups, splits.astype(np.int64)]), axis=1)[0]
    return {
        "groups": int((sizes > 1).sum()),
        "images": int(sizes[sizes > 1].sum()),
        "across_given_splits": int((np.bincount(places) > 1).sum()),
    }


def _write_root(
    folder: Path, attributes: dict[str, Any], digests: dict[str, str], base: FeatureStore | None
) -> None:
    """Write ``zarr.json``: what the store is, and the checksums of all its other files."""
    objects = {key: hash_object(folder / key, durable=True) for key in list_objects(folder)}
    if base is not None:
        objects = base.attributes["objects"] | objects
    root = {"format": FORMAT, "format_version": FORMAT_VERSION} | attributes
    root["digests"] = digests
    root["fingerprint"] = sha256_json({"digests": digests, "labels": root["label_names"]})
    root["objects"] = objects
    root["checksum"] = checksum(root)
    zarr.create_group(folder, attributes=root, zarr_format=3)
    hash_object(folder / "zarr.json", durable=True)
