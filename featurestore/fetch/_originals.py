"""Kept originals: the bytes of each image, so that nothing is downloaded twice.

    DIR/ab/ab12...                 a file for each content, named by its sha256
    DIR/index.jsonl                a line for each location: which content it gave, and how

The index is only ever appended to. A line that a crash cut short is passed over, and so is one that
names no content: somebody else may have written the index, and it must not lead out of the folder.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import threading
from pathlib import Path
from typing import Any, NamedTuple, Self

import filelock

from featurestore.errors import FetchFailure, StoreBusyError
from featurestore.fetch._local import fetch_file

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Original(NamedTuple):
    """What was kept of a location: the answer's bytes, its status and where it came from."""

    data: bytes
    http_status: int
    final_url: str


class _Entry(NamedTuple):
    sha256: str
    http_status: int
    final_url: str


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
        self._known: dict[str, _Entry] = {}
        self._bad: set[str] = set()  # contents whose files are to be written anew
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
            with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
                location, entry = _parse(json.loads(line))
                self._known[location] = entry
        # A line without its end would swallow the one that comes next.
        self._index = index.open("ab")
        self._index.write(b"\n" if index.stat().st_size and not _ends_a_line(index) else b"")
        return self

    def __exit__(self, *_: object) -> None:
        self._index.close()
        self._lock.release()

    def find(self, location: str) -> Original | None:
        """Return what ``location`` gave when it was kept; None if it wasn't, or the file is bad."""
        if (entry := self._known.get(location)) is None:
            return None
        with contextlib.suppress(FetchFailure):
            data = fetch_file(self._path(entry.sha256))
            if hashlib.sha256(data).hexdigest() == entry.sha256:
                return Original(data, entry.http_status, entry.final_url)
        self._bad.add(entry.sha256)
        return None

    def keep(self, location: str, original: Original) -> None:
        """Keep what ``location`` gave. Called from many threads."""
        sha256 = hashlib.sha256(original.data).hexdigest()
        entry = _Entry(sha256, original.http_status, original.final_url)
        path = self._path(sha256)
        if sha256 in self._bad or not path.exists():
            path.parent.mkdir(exist_ok=True)
            partial = self._partial / str(threading.get_ident())
            partial.write_bytes(original.data)
            partial.replace(path)
            self._bad.discard(sha256)
        line = json.dumps({"location": location, "bytes": len(original.data), **entry._asdict()})
        with self._append:
            self._known[location] = entry
            self._index.write(line.encode("utf-8", "backslashreplace") + b"\n")
            self._index.flush()

    def _path(self, sha256: str) -> Path:
        return self._folder / sha256[:2] / sha256


def _parse(line: Any) -> tuple[str, _Entry]:
    """Return location and entry of a line; older ones have neither status nor URL."""
    location, sha256 = line["location"], line["sha256"]
    status, url = line.get("http_status", 0), line.get("final_url", "")
    if not isinstance(location, str) or not _SHA256.fullmatch(sha256):
        raise ValueError("names no location, or no content")
    if type(status) is not int or not 0 <= status < 1000 or not isinstance(url, str):
        raise ValueError("names no answer")
    return location, _Entry(sha256, status, url)


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
