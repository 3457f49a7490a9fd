"""How files get into a store: all of them or none.

New files are written below ``.staging/next``. Then a journal says that they are whole, then each
is put in its place, the root's ``zarr.json`` last. A process that is killed while it does so leaves
the journal, and the next one goes on from it; until then nobody takes the place for a store.
"""

from collections.abc import Callable

from featurestore._objects import ROOT, STAGING, list_objects
from featurestore._place import Place

_NEXT = f"{STAGING}/next"
_JOURNAL = f"{STAGING}/commit.json"


def next_folder(store: Place) -> Place:
    """Return where new files of a store are written, empty."""
    store.delete(_NEXT)  # what a process that was killed has left
    return store.within(_NEXT)


def commit(store: Place, confirm: Callable[[], None]) -> None:
    """Put all files from the next folder into the store, in place of those of the same name.

    They have reached the disk already.

    Parameters
    ----------
    store : Place
    confirm : callable
        Raises StoreBusyError if another process writes the store now.
    """
    confirm()
    store.write(_JOURNAL, b"")
    finish_commit(store, confirm)


def is_committing(store: Place) -> bool:
    """Return whether a commit was begun and hasn't ended."""
    return store.exists(_JOURNAL)


def finish_commit(store: Place, confirm: Callable[[], None]) -> None:
    """End a commit that was begun, and clear the staging folder; do nothing where there is none.

    What is still in the next folder is what has not been put in its place. ``confirm`` is as for
    ``commit``.
    """
    if not is_committing(store):
        return
    folder = store.within(_NEXT)
    store.replace([*list_objects(folder), ROOT], folder)
    confirm()
    # What the change was made from goes before the journal: nobody may make it a second time.
    clear_staging(store)
    store.delete(_JOURNAL)


def clear_staging(store: Place) -> None:
    """Remove what a change is made from; the lock and the journal stay."""
    for name in ("segments", "originals", "next", "settings.json"):
        store.delete(f"{STAGING}/{name}")
    for name in store.within(STAGING).names():
        if name.startswith("lock."):  # made to ask a server for its time
            store.delete(f"{STAGING}/{name}")
