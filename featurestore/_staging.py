"""The staging folder: what an unfinished extraction has done so far.

    STORE/.staging/
        lock                         held by the one process that writes
        settings.json                what the extraction was started with
        segments/<backbone>/*.npz    results, as they came
        next/, commit.json           files on their way into the store

After ``kill -9`` nothing but the results not yet in a segment is done again.
"""

import json
import shutil
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import filelock

from featurestore._commit import clear_staging
from featurestore._decode import THUMBNAIL
from featurestore._files import write_durably
from featurestore._segments import Segments
from featurestore.errors import StoreBusyError, StoreDamagedError, StoreMismatchError

# What a setting is where it isn't noted.
_UNSAID = {"image_sizes": [THUMBNAIL]}


class Staging:
    """The staging folder of one store, held by this process; use it in a ``with`` statement.

    Raises
    ------
    StoreBusyError
        On entering, if another process holds it.
    """

    def __init__(self, store: Path) -> None:
        self.folder = store / ".staging"
        self._lock = filelock.FileLock(self.folder / "lock", timeout=0)

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except filelock.Timeout:
            raise StoreBusyError(
                f"{self.folder.parent}: another process is extracting into this store; wait for "
                "it or give another --store"
            ) from None
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
            data = json.dumps(settings, indent=1).encode()
            write_durably(self.folder / "settings.json", data)
        else:
            refuse_difference(self.folder.parent, before, settings)

    def settings(self) -> dict[str, Any] | None:
        """Return the settings that were noted; None if none were.

        Raises
        ------
        StoreDamagedError
            If they can't be read.
        """
        path = self.folder / "settings.json"
        try:
            noted = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise StoreDamagedError(
                f"{path}: can't be read ({error}); delete {self.folder.parent} and begin again"
            ) from None
        assert isinstance(noted, dict)
        return noted

    def segments(self, backbone: str) -> Segments:
        """Return where the results of one backbone are kept."""
        return Segments(self.folder / "segments" / backbone)

    def remove(self) -> None:
        """Delete the staging folder: the store is finished, or there is nothing to keep."""
        clear_staging(self.folder.parent)
        # The lock file goes last, and while it is held.
        shutil.rmtree(self.folder, ignore_errors=True)


def refuse_difference(store: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
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
        if name == "task":
            what = f"its unfinished work was to {old}, now it is to {new}"
        elif name == "source_fingerprint":
            what = "was made from other records: the source's files, labels or votes have changed"
        else:
            what = f"was made with {name} = {json.dumps(old)}, now it is {json.dumps(new)}"
        raise StoreMismatchError(f"{store}: {what}; give the same again, or another --store")
