"""Recomputing a store's checksums."""

import json
from dataclasses import dataclass

from featurestore._files import checksum
from featurestore._objects import ROOT, hash_objects, list_objects
from featurestore._place import Location, Place, place_of
from featurestore._store import read_root
from featurestore.errors import StoreBusyError

_STRANGE = "is not part of the store"


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

    @property
    def is_strange(self) -> bool:
        """Whether it is a file too many: the store itself is as it was committed."""
        return self.what == _STRANGE


def verify(path: Location) -> list[Damage]:
    """Compare every byte of a finished store with what was committed.

    Returns
    -------
    list of Damage; empty if the store is sound.

    Raises
    ------
    StoreNotFoundError, StoreUnfinishedError, StoreVersionError, StoreDamagedError,
    StoreUnreachableError
        StoreDamagedError if the root can't even be read.
    StoreBusyError
        If it got more rows, or another backbone, in the meantime.
    """
    store = place_of(path)
    root, raw = read_root(store), store.read(ROOT)
    if root.get("checksum") != checksum(root):
        return [Damage("zarr.json", "checksum differs: labels, settings or checksums were altered")]
    beside = json.loads(raw)
    del beside["attributes"]
    if beside != {"zarr_format": 3, "node_type": "group"}:
        return [Damage("zarr.json", "is no longer the root of a zarr group, or more than that")]
    found = set(list_objects(store))
    damages = []
    sums = hash_objects(store, [key for key in root["objects"] if key in found])
    for key, expected in root["objects"].items():
        actual = sums.get(key)
        if actual is None:
            damages.append(Damage(key, f"is missing{_rows(store, key)}"))
        elif isinstance(actual, OSError):
            why = actual.strerror or actual
            damages.append(Damage(key, f"can't be read ({why}){_rows(store, key)}"))
        elif actual != expected:
            damages.append(Damage(key, f"checksum differs{_rows(store, key)}"))
    strange = sorted(found - root["objects"].keys())
    damages += [Damage(key, _STRANGE) for key in strange]
    if damages and store.read(ROOT) != raw:
        raise StoreBusyError(f"{path}: was changed while it was verified; give the command again")
    return damages


def _rows(store: Place, key: str) -> str:
    """Return which rows of its array a shard file holds, as text; "" for other files."""
    array, chunk, place = key.partition("/c/")
    if not chunk:
        return ""
    try:
        meta = json.loads(store.read(f"{array}/zarr.json"))
        size = meta["chunk_grid"]["configuration"]["chunk_shape"][0]
        start = int(place.split("/")[0]) * size
        stop = min(start + size, meta["shape"][0])
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError):
        return f" (of array {array})"
    return f" (rows {start} to {stop - 1} of {array})"
