"""From a record's id to its bytes without a network, or to a typed failure.

Sources bring a callable that takes an id and returns bytes or raises a FetchFailure: a folder's
reads files, the sample's draws, and ``fetch_location`` serves CSVs.
"""

import stat
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from featurestore.errors import BadUrl, NotFound, Unreadable


def fetch_file(path: Path) -> bytes:
    """Return the bytes of a file.

    Raises
    ------
    NotFound, Unreadable
    """
    try:
        # Opening a named pipe would wait for ever.
        if not stat.S_ISREG(path.stat().st_mode):
            raise Unreadable(f"not a regular file: {path}")
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"no such file: {path}") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise Unreadable(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def fetch_location(location: str, base: Path) -> bytes:
    """Return the bytes behind a path (relative to ``base``) or a ``file:`` URL.

    Raises
    ------
    NotFound, Unreadable, BadUrl
    """
    try:
        url = urlsplit(location)
    except ValueError as error:
        raise BadUrl(f"{location}: {error}") from None
    if url.scheme == "file":
        return fetch_file(Path(url2pathname(url.path)))
    if "://" in location:
        raise BadUrl(f"no fetcher for {url.scheme}: addresses ({location})")
    return fetch_file(base / location)
