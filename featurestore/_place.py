"""Where a store lies: a folder on a disk, or a prefix in an object store.

The store's files are named by keys, such as "images/zarr.json", and a place reads and writes them.
All that writes a store is made of these few operations, none of which may leave half a file behind.
A folder has renames for that; an object store has none, but an object is there whole or not at all.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import filelock

from featurestore._files import write_durably
from featurestore.errors import StoreBusyError

Location = str | Path  # a folder, or the URL of a prefix in an object store


class Lock(Protocol):
    """Held by the one process that writes a store.

    Attributes
    ----------
    writer : str
        What names of files begin with that no later holder may write over.
    """

    writer: str

    def acquire(self) -> None:
        """Take it.

        Raises
        ------
        StoreBusyError
            At once, if another process holds it.
        """

    def check(self) -> None:
        """See to it that it is still held.

        Raises
        ------
        StoreBusyError
            If another process has it now.
        """

    def confirm(self) -> None:
        """See to it that it is still held at this moment, whatever that takes.

        Raises
        ------
        StoreBusyError
            If another process has it now.
        StoreUnreachableError
            If nobody can tell.
        """

    def clear(self) -> None:
        """Remove the folder that it lies in, if there is one, while it is held."""

    def release(self) -> None:
        """Give it back."""


class Place(Protocol):
    """A store's files, by key; ``str(place)`` is what users know it by.

    Reading raises FileNotFoundError where there is no such file, and all operations an OSError or a
    StoreUnreachableError where the disk or the object store fails.
    """

    def within(self, key: str) -> "Place":
        """Return the place of what lies below a key."""

    def read(self, key: str) -> bytes:
        """Return a file's bytes."""

    def open(self, key: str) -> BinaryIO:
        """Return a file to be read in parts."""

    def write(self, key: str, data: bytes) -> None:
        """Write a file so that it is there whole or not at all, even after a power cut."""

    def exists(self, key: str) -> bool:
        """Return whether there is such a file."""

    def names(self) -> list[str]:
        """Return the first parts of all keys, sorted."""

    def keys(self) -> list[str]:
        """Return the keys of all files, sorted."""

    def size(self) -> int:
        """Return how many bytes all files have together."""

    def replace(self, keys: Sequence[str], source: "Place") -> None:
        """Put files of another place of the same store here, in place of those of the same name.

        They may be gone from there afterwards; what is gone from there already stays as it is.
        """

    def reach_disk(self, key: str) -> None:
        """See to it that a file that was written by others survives a power cut."""

    def delete(self, key: str) -> None:
        """Remove a file, or all that lies below a key, if there is such a thing."""

    def zarr(self, key: str) -> Any:
        """Return what zarr takes for the place of an array or group."""

    def lock(self, key: str) -> Lock:
        """Return a lock for one process at a time."""


def place_of(location: Location) -> Place:
    """Return the place that a path or URL names.

    Raises
    ------
    SourceError
        If it is a URL of no object store, or one with credentials in it.
    """
    if is_url(location):
        from featurestore._object_place import open_url

        return open_url(str(location))
    return LocalPlace(Path(location))


def is_url(location: Location) -> bool:
    """Return whether a location is a URL, and no path."""
    return isinstance(location, str) and "://" in location


class LocalPlace:
    """A folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __str__(self) -> str:
        """Return the folder's path."""
        return str(self.folder)

    def within(self, key: str) -> "LocalPlace":
        """Return the place of a folder in it."""
        return LocalPlace(self.folder / key)

    def read(self, key: str) -> bytes:
        """Return a file's bytes."""
        return (self.folder / key).read_bytes()

    def open(self, key: str) -> BinaryIO:
        """Return a file to be read in parts."""
        return (self.folder / key).open("rb")

    def write(self, key: str, data: bytes) -> None:
        """Write a file whole or not at all."""
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, data)

    def exists(self, key: str) -> bool:
        """Return whether there is such a file."""
        return (self.folder / key).is_file()

    def names(self) -> list[str]:
        """Return what is in the folder, sorted."""
        try:
            return sorted(path.name for path in self.folder.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def keys(self) -> list[str]:
        """Return the keys of all files, sorted."""
        found = []
        for folder, _, files in os.walk(self.folder, onerror=_raise_unless_missing):
            here = Path(folder).relative_to(self.folder)
            found += [(here / name).as_posix() for name in files]
        return sorted(found)

    def size(self) -> int:
        """Return how many bytes all files have together."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    def replace(self, keys: Sequence[str], source: Place) -> None:
        """Rename files of another folder, in this order."""
        assert isinstance(source, LocalPlace)
        for key in keys:
            if (source.folder / key).exists():
                (self.folder / key).parent.mkdir(parents=True, exist_ok=True)
                (source.folder / key).replace(self.folder / key)

    def reach_disk(self, key: str) -> None:
        """Flush a file to the disk."""
        with self.open(key) as file:
            os.fsync(file.fileno())

    def delete(self, key: str) -> None:
        """Remove a file or a folder, if it is there."""
        path = self.folder / key
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def zarr(self, key: str) -> Path:
        """Return the folder of an array or group."""
        return self.folder / key

    def lock(self, key: str) -> "FileLock":
        """Return a lock on a file, which the system gives back when a process ends."""
        return FileLock(self.folder / key)


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


class FileLock:
    """A lock on a file; the system gives it back when its process ends."""

    writer = ""  # nobody can take it while its holder sleeps

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = filelock.FileLock(path, timeout=0)

    def acquire(self) -> None:
        """Take it, or raise StoreBusyError at once."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except filelock.Timeout:
            raise StoreBusyError(
                f"{self._path.parent.parent}: another process is extracting into this store; wait "
                "for it or give another --store"
            ) from None

    def check(self) -> None:
        """Do nothing: nobody can take it while it is held."""

    confirm = check

    def clear(self) -> None:
        """Remove the folder that it lies in: it goes last, and while it is held."""
        shutil.rmtree(self._path.parent, ignore_errors=True)

    def release(self) -> None:
        """Give it back."""
        self._lock.release()
