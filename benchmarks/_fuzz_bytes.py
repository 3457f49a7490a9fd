"""What ``fuzz.py``'s targets are made of.

Of inputs of several files the first byte says which one is replaced by what follows.
"""

import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RAW = 255  # as first byte: what follows is a whole file, untouched


@dataclass(frozen=True)
class Target:
    """Something that reads what others wrote.

    Attributes
    ----------
    run : callable
        Takes the bytes and an empty folder.
    seeds : callable
        Returns sound inputs, from which mutation starts.
    allowed : tuple of exception types
        What it is documented to raise.
    """

    run: Callable[[bytes, Path], object]
    seeds: Callable[[], Sequence[bytes]]
    allowed: tuple[type[Exception], ...] = field(default=())


def one_replaced(files: dict[str, bytes], whole: bool = False) -> list[bytes]:
    found = [bytes([i]) + content for i, content in enumerate(files.values()) if i < RAW]
    return [*found, bytes([RAW]) + packed(files)] if whole else found


def replace_one(data: bytes, files: dict[str, bytes]) -> dict[str, Any]:
    chosen = data[0] if data else RAW
    return {n: data[1:] if i == chosen else old for i, (n, old) in enumerate(files.items())}


def zipped(data: bytes, members: dict[str, bytes]) -> bytes:
    if data[:1] == bytes([RAW]):
        return data[1:]
    return packed(replace_one(data, members))


def packed(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def members(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        return {name: file.read(name) for name in file.namelist()}


def write_all(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
