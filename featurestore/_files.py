"""Files: written whole or not at all, and checksums."""

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


def checksum(attributes: dict[str, Any]) -> str:
    """Return the sha256 of a root's attributes, apart from the checksum itself."""
    return sha256_json({k: v for k, v in attributes.items() if k != "checksum"})


def sha256_json(value: Any) -> str:
    """Return the sha256 of a value as JSON with sorted keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
