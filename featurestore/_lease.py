"""A lock in an object store: one object, which its holder renews while it lives.

Whoever finds it older than ``LEASE_SECONDS`` by the server's own clock may take it over, and so may
a process on the same machine once the holder is gone. Every change is conditional on what was read
before, so two can't take it at once. A holder that slept too long learns that it lost it with its
next renewal, or at once where it asks.
"""

import json
import os
import platform
import threading
import uuid
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featurestore.errors import StoreBusyError, StoreUnreachableError

if TYPE_CHECKING:
    from featurestore._object_place import ObjectPlace

LEASE_SECONDS = 60.0
_RENEWALS = 4  # in that time: one may fail


class Lease:
    """A lock for one process at a time.

    Parameters
    ----------
    place : ObjectPlace
    key : str
        Of the object that stands for the lock.

    Attributes
    ----------
    writer : str
        Of this holder alone: what names of files begin with that it writes.
    """

    def __init__(self, place: "ObjectPlace", key: str) -> None:
        self._place, self._key = place, key
        self._path = place.path(key)
        self.writer = ""
        self._tag: Any = None
        self._renewed = 0
        self._lost = False
        self._ended = threading.Event()
        self._renewer: threading.Thread | None = None

    def acquire(self) -> None:
        """Take it.

        Raises
        ------
        StoreBusyError
            At once, if another process holds it.
        """
        from obstore.exceptions import AlreadyExistsError

        holder = uuid.uuid4().hex
        self._about = {"holder": holder, **_this_process()}
        self.writer = f"{holder}-"
        with self._place.requests():
            try:
                self._tag = self._place.store.put(self._path, self._body(), mode="create")
            except AlreadyExistsError:
                self._tag = self._take_over()
        self._renewer = threading.Thread(target=self._renew_for_ever, daemon=True)
        self._renewer.start()

    def check(self) -> None:
        """See to it that it is still held.

        Raises
        ------
        StoreBusyError
            If another process has taken it over.
        """
        if self._lost:
            raise self._busy("another process took over and")

    def confirm(self) -> None:
        """Ask the server whether it is still held: who slept doesn't know yet.

        Raises
        ------
        StoreBusyError
            If another process has taken it over.
        StoreUnreachableError
        """
        self._renew()
        self.check()

    def clear(self) -> None:
        """Do nothing: there are no folders, and ``release`` removes the object."""

    def release(self) -> None:
        """Give it back."""
        self._ended.set()
        if self._renewer is not None:
            self._renewer.join()
        with suppress(StoreUnreachableError):  # then it lapses
            self._renew()  # tells whether it is ours to remove
            if not self._lost:
                self._place.delete(self._key)

    def _take_over(self) -> Any:
        from obstore.exceptions import PreconditionError

        store = self._place.store
        try:
            meta, holder = self._read()
        except FileNotFoundError:  # given back between the two requests
            raise self._busy("another process") from None
        if self._is_ours(holder):
            return meta
        age = (self._server_time() - meta["last_modified"]).total_seconds()
        if age < LEASE_SECONDS and not _is_gone(holder):
            left = max(1, round(LEASE_SECONDS - age))
            raise self._busy(f"a process on {holder.get('host', 'another machine')}", left)
        try:
            return store.put(self._path, self._body(), mode=_unchanged(meta))
        except (PreconditionError, FileNotFoundError):
            raise self._busy("another process") from None

    def _server_time(self) -> datetime:
        """Return what time it is for the object store: this machine's clock may be wrong."""
        probe = f"{self._path}.{self._about['holder']}"
        store = self._place.store
        store.put(probe, b"")
        now = store.head(probe)["last_modified"]
        store.delete(probe)
        assert isinstance(now, datetime)
        return now

    def _renew_for_ever(self) -> None:
        while not self._ended.wait(LEASE_SECONDS / _RENEWALS):
            with suppress(StoreUnreachableError):  # tried again soon; if too late, that will tell
                self._renew()
            if self._lost:
                return

    def _renew(self) -> None:
        from obstore.exceptions import PreconditionError

        self._renewed += 1
        try:
            with self._place.requests(reading=True):
                try:
                    self._tag = self._place.store.put(
                        self._path, self._body(), mode=_unchanged(self._tag)
                    )
                except PreconditionError:
                    tag, holder = self._read()
                    if self._is_ours(holder):
                        self._tag = tag
                    else:
                        self._lost = True
        except FileNotFoundError:
            self._lost = True

    def _read(self) -> tuple[Any, dict[str, Any]]:
        """Return the tag of what is there, and who wrote it."""
        found = self._place.store.get(self._path)
        try:
            holder = json.loads(bytes(found.bytes()))
        except ValueError:
            holder = {}
        return found.meta, holder if isinstance(holder, dict) else {}

    def _is_ours(self, holder: dict[str, Any]) -> bool:
        """Return whether we wrote what refused our request.

        One whose answer was lost is made again, and then finds what it did itself.
        """
        return bool(holder.get("holder") == self._about["holder"])

    def _body(self) -> bytes:
        return json.dumps(self._about | {"renewed": self._renewed}).encode()

    def _busy(self, who: str, left: int | None = None) -> StoreBusyError:
        store = str(self._place).removesuffix("/.staging")
        wait = "wait for it or give another --store"
        if left is not None:
            wait = f"wait for it, or {left} s if it was killed, or give another --store"
        return StoreBusyError(f"{store}: {who} is extracting into this store; {wait}")


def _unchanged(meta: Any) -> Any:
    """Return the condition that an object is still as it was."""
    return {name: meta[name] for name in ("e_tag", "version") if meta[name] is not None}


def _this_process() -> dict[str, Any]:
    import psutil

    process = psutil.Process()
    return {
        "host": _host(),
        "processes": _pid_namespace(),
        "pid": os.getpid(),
        "started": process.create_time(),
    }


def _is_gone(holder: dict[str, Any]) -> bool:
    """Return whether the holder ran on this machine and does no longer."""
    import psutil

    if (holder.get("host"), holder.get("processes")) != (_host(), _pid_namespace()):
        return False
    if not isinstance(holder.get("pid"), int):
        return False
    try:
        return bool(psutil.Process(holder["pid"]).create_time() != holder.get("started"))
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False


def _host() -> str:
    import psutil

    return f"{platform.node()} ({psutil.boot_time():.0f})"


def _pid_namespace() -> int:
    """Return which processes this one sees: containers may share a machine's name and start."""
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:  # not Linux
        return 0
