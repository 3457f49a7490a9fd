"""Kept originals: the bytes of each image, so that nothing is downloaded twice.

    DIR/ab/ab12...                 a file for each content, named by its sha256
    DIR/index.jsonl                a line for each location: which content it gave

The index is only ever appended to. A line that a crash cut short is passed over.
"""

import hashlib
import json
import os
import shutil
import threading
from pathlib import Path
from typing import Self

import filelock

from featurestore.errors import StoreBusyError


class Originals:
    """A folder of originals, held by this process; use it in a ``with`` statement.

    Raises
    ------
    StoreBusyError
        On entering, if another process holds it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._partial = folder / ".partial"
        self._lock = filelock.FileLock(folder / ".lock", timeout=0)
        self._known: dict[str, str] = {}
        self._append = threading.Lock()

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except filelock.Timeout:
            raise StoreBusyError(
                f"{self._folder}: another process keeps originals here; wait for it"
            ) from None
        shutil.rmtree(self._partial, ignore_errors=True)  # cut short by a crash
        self._partial.mkdir()
        index = self._folder / "index.jsonl"
        index.touch()
        for line in index.read_bytes().splitlines():
            try:
                entry = json.loads(line)
                self._known[entry["location"]] = entry["sha256"]
            except (ValueError, KeyError, TypeError):
                continue
        # A line without its end would swallow the one that comes next.
        self._index = index.open("ab")
        self._index.write(b"\n" if index.stat().st_size and not _ends_a_line(index) else b"")
        return self

    def __exit__(self, *_: object) -> None:
        self._index.close()
        self._lock.release()

    def find(self, location: str) -> bytes | None:
        """Return what ``location`` gave when it was kept; None if it wasn't, or the file is bad."""
        sha256 = self._known.get(location)
        if sha256 is None:
            return None
        path = self._path(sha256)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        if hashlib.sha256(data).hexdigest() == sha256:
            return data
        path.unlink()  # so that it is kept anew
        return None

    def keep(self, location: str, data: bytes) -> None:
        """Keep what ``location`` gave. Called from many threads."""
        sha256 = hashlib.sha256(data).hexdigest()
        path = self._path(sha256)
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            partial = self._partial / str(threading.get_ident())
            partial.write_bytes(data)
            partial.replace(path)
        line = json.dumps({"location": location, "sha256": sha256, "bytes": len(data)})
        with self._append:
            self._known[location] = sha256
            self._index.write(line.encode("utf-8", "backslashreplace") + b"\n")
            self._index.flush()

    def _path(self, sha256: str) -> Path:
        return self._folder / sha256[:2] / sha256


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
