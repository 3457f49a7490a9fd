"""From finished segments to the files of a store.

Everything here is a function of the records, the outcomes and the settings, written into a folder
that nobody reads. It may be killed and started again at any point.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from featurestore._files import checksum, sha256_json
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
from featurestore._objects import ROOT, hash_objects, list_objects
from featurestore._place import Place
from featurestore._records import Record
from featurestore._segments import Outcomes, Segments
from featurestore._select import Selection
from featurestore._store import FeatureStore, image_sizes
from featurestore._tasks import Shard, Staged
from featurestore._workers import Workers

Passes = dict[str, tuple[Segments, Outcomes]]  # by backbone: where its results are


def assemble_rows(
    folder: Place,
    workers: Workers,
    records: Sequence[Record],
    selection: Selection,
    passes: Passes,
    attributes: dict[str, Any],
    base: FeatureStore | None = None,
) -> None:
    """Write the files of a new store, or those that change in one that gets more rows.

    Parameters
    ----------
    folder : Place
    workers : Workers
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
    arrays = _Arrays(folder, workers, base, selection.records)
    for side in image_sizes(attributes):
        arrays.add(images_name(side), (side, side, 3), "uint8", segments, outcomes)
    for backbone, (segments, outcomes) in passes.items():
        tail = (attributes["backbones"][backbone]["dims"],)
        arrays.add(f"embeddings/{backbone}", tail, "float32", segments, outcomes)
    digests = arrays.write()
    _, outcomes = next(iter(passes.values()))

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
        zarr.create_group(folder.zarr(group), zarr_format=3)
    near = _count_near_duplicates(selection.groups, columns["split"])
    _write_root(folder, attributes | {"near_duplicates": near}, digests, base)


def assemble_backbone(
    folder: Place,
    workers: Workers,
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
    folder : Place
    workers : Workers
    base : FeatureStore
    backbone : str
    segments, outcomes
        Where the embeddings are.
    records : int64 (n,), which record each row of the store holds
    attributes : dict
        What the root says, all but digests and checksums.
    """
    arrays = _Arrays(folder, workers, None, records)
    tail = (attributes["backbones"][backbone]["dims"],)
    arrays.add(f"embeddings/{backbone}", tail, "float32", segments, outcomes)
    _write_root(folder, attributes, base.attributes["digests"] | arrays.write(), base)


class _Arrays:
    """The large arrays of a store, with the rows of another store first, if there is one.

    Parameters
    ----------
    folder : Place
    workers : Workers
    base : FeatureStore or None
    records : int64 (n,), which record each new row holds
    """

    def __init__(
        self,
        folder: Place,
        workers: Workers,
        base: FeatureStore | None,
        records: npt.NDArray[np.int64],
    ) -> None:
        self._folder, self._workers = folder, workers
        self._base = base.place if base is not None else None
        self._held = len(base) if base is not None else 0
        self._records = records
        self._shards: list[Shard] = []

    def add(
        self, name: str, tail: tuple[int, ...], dtype: str, segments: Segments, outcomes: Outcomes
    ) -> None:
        """Create an array (n, ...) whose new rows are in segments."""
        held, records = self._held, self._records
        shape = (held + len(records), *tail)
        rows = create_pixels(self._folder, name, shape, dtype).shards[0]
        full = held - held % rows  # old rows in full shards are there and aren't written again
        for start, stop in blocks(shape[0], rows):
            staged = None
            if stop > held:
                chosen = records[max(start, held) - held : stop - held]
                staged = Staged(segments.place, outcomes.where(chosen))
            self._shards.append(
                Shard(self._folder, name, start, stop, stop > full, self._base, held, staged)
            )

    def write(self) -> dict[str, str]:
        """Write all arrays; return their digests, the sha256 of their shards' sha256."""
        digests: dict[str, Any] = {}
        for shard, digest in zip(self._shards, self._workers.write(self._shards), strict=True):
            whole = digests.setdefault(shard.name, hashlib.sha256())
            whole.update(bytes.fromhex(digest))
        return {name: whole.hexdigest() for name, whole in digests.items()}


def _write_column(folder: Place, name: str, column: npt.NDArray[Any]) -> str:
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
    folder: Place, attributes: dict[str, Any], digests: dict[str, str], base: FeatureStore | None
) -> None:
    """Write ``zarr.json``: what the store is, and the checksums of all its other files."""
    keys = list_objects(folder)
    for key in keys:
        folder.reach_disk(key)
    objects: dict[str, Any] = {}
    for key, digest in hash_objects(folder, keys).items():
        if isinstance(digest, OSError):
            raise digest
        objects[key] = digest
    if base is not None:
        objects = base.attributes["objects"] | objects
    root = {"format": FORMAT, "format_version": FORMAT_VERSION} | attributes
    root["digests"] = digests
    root["fingerprint"] = sha256_json({"digests": digests, "labels": root["label_names"]})
    root["objects"] = objects
    root["checksum"] = checksum(root)
    zarr.create_group(folder.zarr(""), attributes=root, zarr_format=3)
    folder.reach_disk(ROOT)
