"""Files: written whole or not at all, and their checksums."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any


def write_durably(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all, even after a power cut."""
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


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


def checksum(attributes: dict[str, Any]) -> str:
    """Return the sha256 of a root's attributes, apart from the checksum itself."""
    return sha256_json({k: v for k, v in attributes.items() if k != "checksum"})


def sha256_json(value: Any) -> str:
    """Return the sha256 of a value as JSON with sorted keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
