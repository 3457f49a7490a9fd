"""How files get into a store: all of them or none.

New files are written below ``.staging/next``. Then a journal says what they are, then each is put
in its place, the root's ``zarr.json`` last. A process that is killed while it does so leaves the
journal, and the next one goes on from it; until then nobody takes the place for a store.
"""

import json

from featurestore._objects import ROOT, STAGING, list_objects
from featurestore._place import Place

_NEXT = f"{STAGING}/next"
_JOURNAL = f"{STAGING}/commit.json"


def next_folder(store: Place) -> Place:
    """Return where new files of a store are written, empty."""
    store.delete(_NEXT)  # what a process that was killed has left
    return store.within(_NEXT)


def commit(store: Place) -> None:
    """Put all files from the next folder into the store, in place of those of the same name.

    They have reached the disk already.
    """
    store.write(_JOURNAL, json.dumps(list_objects(store.within(_NEXT))).encode())
    finish_commit(store)


def is_committing(store: Place) -> bool:
    """Return whether a commit was begun and hasn't ended."""
    return store.exists(_JOURNAL)


def finish_commit(store: Place) -> None:
    """End a commit that was begun, and clear the staging folder; do nothing where there is none."""
    if not is_committing(store):
        return
    store.replace([*json.loads(store.read(_JOURNAL)), ROOT], store.within(_NEXT))
    # What the change was made from goes before the journal: nobody may make it a second time.
    clear_staging(store)
    store.delete(_JOURNAL)


def clear_staging(store: Place) -> None:
    """Remove what a change is made from; the lock and the journal stay."""
    for name in ("segments", "originals", "next", "settings.json"):
        store.delete(f"{STAGING}/{name}")
