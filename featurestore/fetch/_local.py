"""From a record's id to its bytes without a network, or to a typed failure.

Sources bring a callable that takes an id and returns bytes or raises a FetchFailure: a folder's
reads files, the sample's draws, and ``fetch_location`` serves CSVs.
"""

import os
import stat
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from featurestore.errors import BadUrl, NotFound, Outside, TooLarge, Unreadable

MAX_FILE = 2**30  # bytes; a sparse file can claim more than memory holds


def fetch_file(path: Path) -> bytes:
    """Return the bytes of a file.

    Raises
    ------
    NotFound, Unreadable, TooLarge
    """
    try:
        about = path.stat()
        # Opening a named pipe would wait for ever.
        if not stat.S_ISREG(about.st_mode):
            raise Unreadable(f"not a regular file: {path}")
        refuse_size(path, about.st_size)
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"no such file: {path}") from None
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None


def refuse_size(path: Path, size: int) -> None:
    """Refuse to read so many bytes of a file at once, if they are too many.

    Raises
    ------
    TooLarge
    """
    if size > MAX_FILE:
        raise TooLarge(f"{path}: {size:,} bytes; the limit is {MAX_FILE:,}")


def fetch_location(location: str, base: Path, *, allow_outside: bool = False) -> bytes:
    """Return the bytes behind a path (relative to ``base``) or a ``file:`` URL.

    Parameters
    ----------
    location : str
    base : Path
        A folder.
    allow_outside : bool
        Whether the file may lie outside of it: a list from somebody else must not choose which of
        this computer's files are read.

    Raises
    ------
    NotFound, Unreadable, TooLarge, Outside, BadUrl
    """
    try:
        url = urlsplit(location)
    except ValueError as error:
        raise BadUrl(f"{location}: {error}") from None
    if url.scheme == "file":
        path = Path(url2pathname(url.path))
    elif "://" in location:
        raise BadUrl(f"no fetcher for {url.scheme}: addresses ({location})")
    else:
        path = base / location
    if not allow_outside:
        _refuse_outside(path, base)
    return fetch_file(path)


def _refuse_outside(path: Path, base: Path) -> None:
    """Refuse what lies outside of a folder, wherever symbolic links and ".." lead."""
    try:
        inside = Path(os.path.realpath(path)).is_relative_to(os.path.realpath(base))
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    if not inside:
        raise Outside(f"lies outside of {base}: {path}")


def _unreadable(path: Path, error: OSError | ValueError) -> Unreadable:
    """Return the failure that stands for what the system says; ValueError: a NUL in the path."""
    return Unreadable(f"{path}: {getattr(error, 'strerror', None) or error}")
