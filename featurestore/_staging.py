"""The staging folder: what an unfinished extraction has done so far.

    STORE/.staging/
        lock                         held by the one process that writes
        settings.json                what the extraction was started with
        segments/<backbone>/*.npz    results, as they came
        next/, commit.json           files on their way into the store

After ``kill -9`` nothing but the results not yet in a segment is done again.
"""

import json
from types import TracebackType
from typing import Any, Self

from featurestore._commit import clear_staging
from featurestore._decode import THUMBNAIL
from featurestore._objects import STAGING
from featurestore._place import Place
from featurestore.errors import StoreDamagedError, StoreMismatchError

_SETTINGS = "settings.json"

# What a setting is where it isn't noted.
_UNSAID = {"image_sizes": [THUMBNAIL]}


class Staging:
    """The staging folder of one store, held by this process; use it in a ``with`` statement.

    Parameters
    ----------
    store : Place

    Attributes
    ----------
    place : Place
        The staging folder.

    Raises
    ------
    StoreBusyError
        On entering, if another process holds it.
    """

    def __init__(self, store: Place) -> None:
        self._store = store
        self.place = store.within(STAGING)
        self._lock = self.place.lock("lock")

    def __enter__(self) -> Self:
        self._lock.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()

    def begin(self, settings: dict[str, Any]) -> None:
        """Note the settings, or compare them with those noted when the extraction was begun.

        Raises
        ------
        StoreMismatchError
            If they differ; names the first difference.
        StoreDamagedError
            If those noted can't be read.
        """
        before = self.settings()
        if before is None:
            clear_staging(self._store)  # a worker of another day may have come too late
            self.place.write(_SETTINGS, json.dumps(settings, indent=1).encode())
        else:
            refuse_difference(self._store, before, settings)

    def settings(self) -> dict[str, Any] | None:
        """Return the settings that were noted; None if none were.

        Raises
        ------
        StoreDamagedError
            If they can't be read.
        """
        try:
            noted = json.loads(self.place.read(_SETTINGS))
            if not isinstance(noted, dict):
                raise ValueError("no settings")
        except FileNotFoundError:
            return None
        except (ValueError, RecursionError) as error:
            raise StoreDamagedError(
                f"{self.place}/{_SETTINGS}: can't be read ({error}); delete {self.place} and "
                "give the command again"
            ) from None
        return noted

    def check(self) -> None:
        """See to it that this process is still the one that writes, as far as it knows.

        Raises
        ------
        StoreBusyError
        """
        self._lock.check()

    def confirm(self) -> None:
        """See to it that this process is the one that writes at this moment.

        Raises
        ------
        StoreBusyError, StoreUnreachableError
        """
        self._lock.confirm()

    @property
    def writer(self) -> str:
        """What the names of this process' segments begin with."""
        return self._lock.writer

    def remove(self) -> None:
        """Delete the staging folder: the store is finished, or there is nothing to keep."""
        clear_staging(self._store)
        self._lock.clear()


def refuse_difference(store: Place, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Compare the settings of a store with those asked for.

    Raises
    ------
    StoreMismatchError
        If they differ; the text names the first difference.
    """
    for name in now | before:
        old, new = (noted.get(name, _UNSAID.get(name)) for noted in (before, now))
        if old == new:
            continue
        advice = "give the same again, or another --store"
        if name == "task":
            what = f"its unfinished work was to {old}, now it is to {new}"
        elif name == "source_fingerprint":
            what = "was made from other records: the source's files, labels or votes have changed"
            advice = (
                "a store takes no new ones, so give another --store, and --keep-originals as before"
            )
        else:
            what = f"was made with {name} = {json.dumps(old)}, now it is {json.dumps(new)}"
        raise StoreMismatchError(f"{store}: {what}; {advice}")
