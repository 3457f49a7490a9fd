"""How files get into a store: all of them or none.

New files are written below ``.staging/next``. Then a journal says what they are, then each is moved
to its place, the root's ``zarr.json`` last. A process that is killed while it moves them leaves the
journal, and the next one goes on from it; until then nobody takes the folder for a store.
"""

import json
import shutil
from pathlib import Path

from featurestore._files import list_objects, write_durably


def next_folder(store: Path) -> Path:
    """Return where new files of a store are written, empty."""
    folder = store / ".staging" / "next"
    shutil.rmtree(folder, ignore_errors=True)  # what a process that was killed has left
    folder.mkdir(parents=True)
    return folder


def commit(store: Path) -> None:
    """Move all files from the next folder into the store, in place of those of the same name.

    They have reached the disk already.
    """
    keys = list_objects(store / ".staging" / "next")
    write_durably(_journal(store), json.dumps(keys).encode())
    finish_commit(store)


def is_committing(store: Path) -> bool:
    """Return whether a commit was begun and hasn't ended."""
    return _journal(store).is_file()


def finish_commit(store: Path) -> None:
    """End a commit that was begun, and clear the staging folder; do nothing where there is none."""
    if not is_committing(store):
        return
    source = store / ".staging" / "next"
    for key in (*json.loads(_journal(store).read_bytes()), "zarr.json"):
        if (source / key).exists():
            (store / key).parent.mkdir(parents=True, exist_ok=True)
            (source / key).replace(store / key)
    # What the change was made from goes before the journal: nobody may make it a second time.
    clear_staging(store)
    _journal(store).unlink()


def clear_staging(store: Path) -> None:
    """Remove what a change is made from; the lock and the journal stay."""
    for name in ("segments", "originals", "next"):
        shutil.rmtree(store / ".staging" / name, ignore_errors=True)
    (store / ".staging" / "settings.json").unlink(missing_ok=True)


def _journal(store: Path) -> Path:
    return store / ".staging" / "commit.json"
