"""``export_store``: where an export goes, and that it gets there whole or not at all."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import filelock

from featurestore._place import LocalPlace, Location, Place, is_url
from featurestore._store import FeatureStore, read_root
from featurestore.errors import FeatureStoreError, StoreBusyError
from featurestore.export._content import FORMAT, Content
from featurestore.export._shards import METADATA


@dataclass(frozen=True)
class _Form:
    module: str
    ending: str
    is_folder: bool = False


_FORMS = {
    "h5": _Form("_h5", ".h5"),
    "parquet": _Form("_parquet", ".parquet"),
    "npz": _Form("_npz", ".npz"),
    "tfrecord": _Form("_tfrecord", "_tfrecord", is_folder=True),
    "webdataset": _Form("_webdataset", "_webdataset", is_folder=True),
}
FORMATS = tuple(_FORMS)


def default_target(store: Location, form: str) -> Path:
    """Return where an export goes unless told: beside the store, such as "fi.h5" or "fi_tfrecord".

    That of a store at a URL goes to the current folder.

    Parameters
    ----------
    store : str or Path
    form : one of FORMATS
    """
    path = Path(str(store).rstrip("/").rpartition("/")[2]) if is_url(store) else Path(store)
    if path.name in ("", ".."):
        path = path.resolve()
    return path.with_name(f"{path.stem}{_FORMS[form].ending}")


def export_store(
    store: FeatureStore,
    form: str,
    target: str | Path,
    *,
    force: bool = False,
    begin: Callable[[int], object] = lambda total: None,
    step: Callable[[int], object] = lambda size: None,
) -> Path:
    """Write all rows of a store, in their order, in a form that other programs read.

    Memory doesn't grow with the store. The same store gives the same bytes.

    Parameters
    ----------
    store : FeatureStore
    form : {"h5", "parquet", "npz", "tfrecord", "webdataset"}
        The first three make a file, the others a folder.
    target : str or Path
        A file or folder that is not there yet.
    force : bool
        Whether an earlier export may be replaced, once the new one is whole.
    begin : callable
        Gets the number of bytes in all.
    step : callable
        Gets the number of bytes each time that some are done.

    Returns
    -------
    Path
        Where the export is.

    Raises
    ------
    FeatureStoreError
        If there is something under that name already, or it lies in the store.
    StoreBusyError
        If another process writes there, or the store was changed in the meantime.
    StoreDamagedError
        If the store's bytes can't be decoded.
    """
    path, how = Path(target), _FORMS[form]
    _refuse(path, store.place, how, force)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _workplace(path) as (partial, old):
        if how.is_folder:
            partial.mkdir()
        content = Content(store, step)
        begin(content.nbytes)
        import_module(f"featurestore.export.{how.module}").write(content, partial)
        if read_root(store.place)["fingerprint"] != store.fingerprint:
            raise StoreBusyError(
                f"{store.path}: was changed while it was exported; give the command again"
            )
        _reach_disk(partial)
        _refuse(path, store.place, how, force)  # somebody may have put something there
        if path.is_dir():
            path.replace(old)  # a folder can't be replaced in one step
        partial.replace(path)
    return path


def _refuse(path: Path, store: Place, how: _Form, force: bool) -> None:
    """Never write over somebody's files, nor into a store."""
    if isinstance(store, LocalPlace) and path.resolve().is_relative_to(store.folder.resolve()):
        raise FeatureStoreError(f"--out {path}: lies in the store itself; give another place")
    if not path.exists() and not path.is_symlink():
        return
    kind = "folder" if how.is_folder else "file"
    if path.is_dir() != how.is_folder:
        raise FeatureStoreError(f"--out {path}: is there already, and is no {kind}; give another")
    if how.is_folder and not any(path.iterdir()):
        return
    if not force:
        raise FeatureStoreError(
            f"--out {path}: is there already; give another name, or --force to replace it"
        )
    if how.is_folder and not _is_export(path):
        raise FeatureStoreError(
            f"--out {path}: is a folder with other things in it than an export, so not even "
            "--force replaces it; give one that is not there yet"
        )


def _is_export(folder: Path) -> bool:
    """Return whether a folder holds an export and nothing else."""
    try:
        about = json.loads((folder / METADATA).read_bytes())
        ours = about["format"] == FORMAT and {METADATA, *about["shards"]}
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return bool(ours) and {entry.name for entry in folder.iterdir()} <= ours


@contextmanager
def _workplace(path: Path) -> Iterator[tuple[Path, Path]]:
    """Yield where a new export is made and where an earlier one goes; both are gone afterwards.

    No other process has them meanwhile. They lie in a hidden folder of their own, beside the
    export: nothing that somebody else has named can be there.
    """
    folder = path.with_name(f".{path.name}.export")
    partial, old = folder / "new", folder / "old"
    folder.mkdir(exist_ok=True)
    lock = filelock.FileLock(folder / "lock", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise StoreBusyError(
            f"{path}: another process is exporting to it; wait for it, or give another --out"
        ) from None
    try:
        _remove(partial)  # what a process that was killed has left
        _put_back(old, path)
        yield partial, old
    finally:
        _put_back(old, path)
        shutil.rmtree(folder, ignore_errors=True)  # while it is held
        lock.release()


def _put_back(old: Path, path: Path) -> None:
    """Give an earlier export its name again, where the new one doesn't have it."""
    if old.exists() and not path.exists():
        old.replace(path)
    _remove(old)


def _reach_disk(path: Path) -> None:
    for file in [path] if path.is_file() else sorted(path.iterdir()):
        with file.open("rb+") as opened:
            os.fsync(opened.fileno())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
