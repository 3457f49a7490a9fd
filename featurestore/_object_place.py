"""A store in an object store: S3, Google Cloud, Azure, or this process' memory.

Credentials come from where each provider's own tools take them from, the environment or the
machine's role; they are never in a URL, nor in anything that is written.
"""

import functools
import io
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, BinaryIO

from featurestore._lease import Lease
from featurestore.errors import SourceError, StoreUnreachableError, in_short

_SCHEMES = ("s3", "gs", "az", "memory")
SCHEMES = "s3://, gs://, az:// and memory://"
_CONNECTIONS = 16  # requests at a time: a copy costs a round trip and nothing else
# Long enough for a server that is restarted, short enough for a name that is wrong.
_RETRY: Any = {"max_retries": 4, "retry_timeout": timedelta(seconds=30)}


def open_url(url: str) -> "ObjectPlace":
    """Return the place that a URL such as "s3://bucket/fi.zarr" names.

    Raises
    ------
    SourceError
        If it is a URL of no object store or of a whole bucket, has credentials in it, or the extra
        packages are not installed.
    StoreUnreachableError
        If the environment says nothing that such a store can be opened with.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in _SCHEMES:
        raise SourceError(f"{scheme}://...: is no place for a store; give a path, {SCHEMES}")
    bucket, _, prefix = rest.partition("/")
    prefix = prefix.strip("/")
    # A secret may have a slash in it: nothing before an @ is shown.
    if "@" in rest or ":" in bucket or "?" in rest or "#" in rest:
        raise SourceError(
            f"{scheme}://...: leave credentials and options out of the URL; they come from the "
            "environment, such as AWS_ACCESS_KEY_ID"
        )
    if not bucket or {"", ".", ".."} & set(prefix.split("/")):
        raise SourceError(f"{url}: give a bucket and a name in it: {scheme}://bucket/fi.zarr")
    return ObjectPlace(f"{scheme}://{bucket}", prefix)


@functools.cache  # connections are kept, and what is in memory stays there
def _open_bucket(bucket: str) -> Any:
    try:
        from obstore.store import MemoryStore, from_url
    except ImportError:
        raise SourceError(
            f"{bucket}: stores at a URL need more packages: pip install 'emotion-bench[remote]'"
        ) from None
    if bucket.startswith("memory://"):
        return MemoryStore()
    try:
        return from_url(bucket, retry_config=_RETRY)
    except Exception as error:  # each provider's own kinds
        raise StoreUnreachableError(f"{bucket}: can't be opened ({_said(error)})") from None


class ObjectPlace:
    """A prefix in a bucket.

    Parameters
    ----------
    bucket : str
        Such as "s3://name".
    prefix : str
    """

    def __init__(self, bucket: str, prefix: str) -> None:
        self._bucket, self._prefix = bucket, prefix

    def __str__(self) -> str:
        """Return the URL."""
        return f"{self._bucket}/{self._prefix}"

    @property
    def store(self) -> Any:
        """The bucket as obstore opens it; it is opened anew in each process."""
        return _open_bucket(self._bucket)

    def path(self, key: str) -> str:
        """Return a key's path in the bucket."""
        return f"{self._prefix}/{key}" if key else self._prefix

    def within(self, key: str) -> "ObjectPlace":
        """Return the place of what lies below a key."""
        return ObjectPlace(self._bucket, self.path(key))

    def read(self, key: str) -> bytes:
        """Return an object's bytes."""
        with self.requests(reading=True):
            return bytes(self.store.get(self.path(key)).bytes())

    def open(self, key: str) -> BinaryIO:
        """Return an object's bytes as a file."""
        return io.BytesIO(self.read(key))

    def write(self, key: str, data: bytes) -> None:
        """Put an object; it is there whole or not at all."""
        with self.requests():
            self.store.put(self.path(key), data)

    def exists(self, key: str) -> bool:
        """Return whether there is such an object."""
        try:
            with self.requests(reading=True):
                self.store.head(self.path(key))
        except FileNotFoundError:
            return False
        return True

    def names(self) -> list[str]:
        """Return the first parts of all keys, sorted."""
        with self.requests():
            found = self.store.list_with_delimiter(f"{self._prefix}/")
        here = [entry["path"] for entry in found["objects"]]
        return sorted({self._key(path) for path in (*here, *found["common_prefixes"])})

    def keys(self) -> list[str]:
        """Return the keys of all objects, sorted."""
        return sorted(self._key(entry["path"]) for entry in self._list())

    def size(self) -> int:
        """Return how many bytes all objects have together."""
        return sum(entry["size"] for entry in self._list())

    def replace(self, keys: Sequence[str], source: Any) -> None:
        """Copy objects of another place of the bucket, within it; the last one after all others."""

        def copy(key: str) -> None:
            try:
                with self.requests(reading=True):
                    self.store.copy(source.path(key), self.path(key))
            except FileNotFoundError:
                pass

        self._at_once(copy, keys[:-1])
        self._at_once(copy, keys[-1:])

    def reach_disk(self, key: str) -> None:
        """Do nothing: an object that was put is there to stay."""

    def delete(self, key: str) -> None:
        """Remove an object, and all that lies below its key."""
        # S3 says nothing of what isn't there (any more); Azure and Google end with it.
        with self.requests():
            while below := [entry["path"] for entry in self.within(key)._list()]:
                with suppress(FileNotFoundError):
                    self.store.delete(below)
            with suppress(FileNotFoundError):
                self.store.delete(self.path(key))

    def zarr(self, key: str) -> Any:
        """Return what zarr takes for the place of an array or group."""
        from featurestore._object_zarr import PrefixStore

        return PrefixStore.of(self, key)

    def lock(self, key: str) -> Lease:
        """Return a lock that lapses when its process doesn't renew it."""
        return Lease(self, key)

    @contextmanager
    def requests(self, *, reading: bool = False) -> Iterator[None]:
        """Turn what the object store raises into errors of ours.

        With ``reading`` an object may be missing; else it can only be the bucket.
        """
        try:
            yield
        except FileNotFoundError:
            if reading:
                raise FileNotFoundError(f"{self}: no such object") from None
            raise StoreUnreachableError(
                f"{self._bucket}: there is no such bucket; make it first"
            ) from None
        except Exception as error:
            if not is_remote_error(error):
                raise
            raise StoreUnreachableError(
                f"{self._bucket}: can't be reached ({_said(error)}); check the address, the "
                "network and the credentials in the environment, and give the same again"
            ) from None

    def _list(self) -> list[Any]:
        with self.requests():
            return [entry for page in self.store.list(f"{self._prefix}/") for entry in page]

    def _key(self, path: str) -> str:
        return path.removeprefix(f"{self._prefix}/")

    @staticmethod
    def _at_once(do: Callable[[str], None], keys: Sequence[str]) -> None:
        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            list(pool.map(do, keys))


def is_remote_error(error: BaseException) -> bool:
    """Return whether an object store raised this, and not what was made of its bytes."""
    return type(error).__module__.partition(".")[0] in ("obstore", "_obstore")


def _said(error: BaseException) -> str:
    """Return what an object store's error says: its first line, without what signs a request."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    line = re.sub(r"//[^/\s@]*@", "//", line)  # a password in an endpoint's address
    return in_short(Exception(re.sub(r"\?[^\s)]*", "", line)))
