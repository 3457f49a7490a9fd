"""A store's files as the root lists them: keys and checksums."""

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from featurestore._place import Place

ROOT = "zarr.json"
STAGING = ".staging"
_BLOCK = 1024 * 1024  # bytes read at a time
_AT_ONCE = 8  # over a network each costs a round trip; on a disk, all cores compute sums


def list_objects(store: Place) -> list[str]:
    """Return the keys of all files of a store except its root and its staging folder, sorted."""
    found = []
    for name in store.names():
        if name in (ROOT, STAGING):
            continue
        below = store.within(name).keys()
        # A file has no keys below it.
        found += [f"{name}/{key}" for key in below] or ([name] if store.exists(name) else [])
    return sorted(found)


def hash_objects(store: Place, keys: Iterable[str]) -> dict[str, str | OSError]:
    """Return the sha256 (hex) of files by key, or the error why one can't be read."""
    keys = list(keys)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return dict(zip(keys, pool.map(lambda key: _hash(store, key), keys), strict=True))


def hash_object(store: Place, key: str) -> str:
    """Return the sha256 (hex) of a file."""
    digest = hashlib.sha256()
    with store.open(key) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _hash(store: Place, key: str) -> str | OSError:
    try:
        return hash_object(store, key)
    except OSError as error:
        return error
