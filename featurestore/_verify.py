"""Recomputing a store's checksums."""

import json
from dataclasses import dataclass
from pathlib import Path

from featurestore._files import checksum, hash_object, list_objects
from featurestore._store import read_root


@dataclass(frozen=True)
class Damage:
    """One place of a store that isn't as it was committed.

    Attributes
    ----------
    place : str
        The file, relative to the store.
    what : str
        What is wrong, with the array's rows that it concerns.
    """

    place: str
    what: str


def verify(path: str | Path) -> list[Damage]:
    """Compare every byte of a finished store with what was committed.

    Returns
    -------
    list of Damage; empty if the store is sound.

    Raises
    ------
    StoreNotFoundError, StoreUnfinishedError, StoreVersionError, StoreDamagedError
        StoreDamagedError if the root can't even be read.
    """
    store = Path(path)
    root = read_root(store)
    if root.get("checksum") != checksum(root):
        return [Damage("zarr.json", "checksum differs: labels, settings or checksums were altered")]
    beside = json.loads((store / "zarr.json").read_bytes())
    del beside["attributes"]
    if beside != {"zarr_format": 3, "node_type": "group"}:
        return [Damage("zarr.json", "is no longer the root of a zarr group, or more than that")]
    found = set(list_objects(store))
    damages = []
    for key, expected in root["objects"].items():
        if key not in found:
            damages.append(Damage(key, f"is missing{_rows(store, key)}"))
            continue
        try:
            actual = hash_object(store / key)
        except OSError as error:
            damages.append(Damage(key, f"can't be read ({error.strerror}){_rows(store, key)}"))
            continue
        if actual != expected:
            damages.append(Damage(key, f"checksum differs{_rows(store, key)}"))
    strange = sorted(found - root["objects"].keys())
    damages += [Damage(key, "is not part of the store") for key in strange]
    return damages


def _rows(store: Path, key: str) -> str:
    """Return which rows of its array a shard file holds, as text; "" for other files."""
    array, chunk, place = key.partition("/c/")
    if not chunk:
        return ""
    try:
        meta = json.loads((store / array / "zarr.json").read_bytes())
        size = meta["chunk_grid"]["configuration"]["chunk_shape"][0]
        start = int(place.split("/")[0]) * size
        stop = min(start + size, meta["shape"][0])
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return f" (of array {array})"
    return f" (rows {start} to {stop - 1} of {array})"
