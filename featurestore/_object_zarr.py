"""A prefix of a bucket as zarr takes it.

zarr also writes a group for every part of a path that leads to an array. So it is shown a store
that begins at the prefix: what is above that is none of its business.
"""

from collections.abc import AsyncIterator, Iterable
from typing import Any

from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import ObjectStore, WrapperStore


class PrefixStore(WrapperStore[Any]):
    """A zarr store that begins at a prefix of another.

    Parameters
    ----------
    store : zarr.storage.ObjectStore
    place : ObjectPlace
        Whose prefix it is; it turns the bucket's errors into ours.
    """

    def __init__(self, store: Any, place: Any) -> None:
        super().__init__(store)
        self._place = place
        self._prefix: str = place.path("")

    @classmethod
    def of(cls, place: Any, key: str) -> "PrefixStore":
        """Return the store of what lies below a key of a place."""
        return cls(ObjectStore(place.store), place.within(key) if key else place)

    def _with_store(self, store: Any) -> "PrefixStore":
        return type(self)(store, self._place)

    def __eq__(self, other: object) -> bool:
        """Return whether two are the same prefix of the same store."""
        return super().__eq__(other) and self._prefix == getattr(other, "_prefix", None)

    def __str__(self) -> str:
        """Return what zarr's messages call it."""
        return self._prefix  # a bucket of Azure has no text: obstore panics

    __repr__ = __str__

    def _path(self, key: str) -> str:
        return f"{self._prefix}/{key}" if key else self._prefix

    async def _below(self, paths: AsyncIterator[str]) -> AsyncIterator[str]:
        with self._place.requests(reading=True):
            async for path in paths:
                yield path.removeprefix(f"{self._prefix}/")

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return the bytes of a key, or some of them; None if there are none."""
        with self._place.requests(reading=True):
            found: Buffer | None = await self._store.get(self._path(key), prototype, byte_range)
        return found

    async def get_partial_values(
        self,
        prototype: BufferPrototype,
        key_ranges: Iterable[tuple[str, ByteRequest | None]],
    ) -> list[Buffer | None]:
        """Return some of the bytes of several keys."""
        ranges = [(self._path(key), part) for key, part in key_ranges]
        with self._place.requests(reading=True):
            found: list[Buffer | None] = await self._store.get_partial_values(prototype, ranges)
        return found

    async def exists(self, key: str) -> bool:
        """Return whether there is such a key."""
        with self._place.requests(reading=True):
            return bool(await self._store.exists(self._path(key)))

    async def is_empty(self, prefix: str) -> bool:
        """Return whether there is nothing below a prefix."""
        with self._place.requests(reading=True):
            return bool(await self._store.is_empty(self._path(prefix)))

    async def set(self, key: str, value: Buffer) -> None:
        """Write a key."""
        with self._place.requests():
            await self._store.set(self._path(key), value)

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Write a key that is not there."""
        with self._place.requests():
            await self._store.set_if_not_exists(self._path(key), value)

    async def _set_many(self, values: Iterable[tuple[str, Buffer]]) -> None:
        with self._place.requests():
            await self._store._set_many([(self._path(key), value) for key, value in values])

    async def delete(self, key: str) -> None:
        """Remove a key."""
        with self._place.requests(reading=True):
            await self._store.delete(self._path(key))

    async def delete_dir(self, prefix: str) -> None:
        """Remove all below a prefix."""
        with self._place.requests(reading=True):
            await self._store.delete_dir(self._path(prefix))

    async def clear(self) -> None:
        """Remove everything."""
        with self._place.requests(reading=True):
            await self._store.delete_dir(self._prefix)

    def list(self) -> AsyncIterator[str]:
        """Yield all keys."""
        return self._below(self._store.list_prefix(f"{self._prefix}/"))

    def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Yield all keys below a prefix."""
        return self._below(self._store.list_prefix(self._path(prefix)))

    def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Yield the names right below a prefix."""
        return self._below(self._store.list_dir(self._path(prefix)))
