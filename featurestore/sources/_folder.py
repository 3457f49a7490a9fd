"""A folder of class folders of images, with or without a split level above them."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from featurestore._labels import order_names
from featurestore._records import Record, Source
from featurestore.errors import SourceError
from featurestore.fetch import fetch_file
from featurestore.sources._votes import one_vote_each

SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "dev": "dev",
    "val": "dev",
    "valid": "dev",
    "validation": "dev",
    "test": "test",
    "testing": "test",
}


def read_folder(root: Path) -> Source:
    """Return the images of a folder as a source.

    Either ``root/<label>/**/<image>`` or ``root/<split>/<label>/**/<image>``, where the splits are
    called train, dev (or val, valid) and test. Every file counts as a record, whatever its ending:
    one that is no image becomes a failure in the manifest and isn't passed over in silence. Hidden
    files and folders are skipped, symbolic links are followed.

    Raises
    ------
    SourceError
        If there are no class folders, or no files in them, or a folder can't be read.
    """
    folders = _folders(root)
    splits = {name: SPLIT_FOLDERS[name.lower()] for name in folders if _is_split(name)}
    if splits:
        if len(splits) < len(folders):
            others = ", ".join(sorted(set(folders) - set(splits))[:3])
            raise SourceError(
                f"{root}: holds split folders ({', '.join(splits)}) beside others ({others}): "
                "move one kind away"
            )
        if "train" not in splits.values():
            raise SourceError(f"{root}: has {', '.join(splits)} folders, but no train folder")
        places = [(split, root / name) for name, split in splits.items()]
    else:
        places = [("", root)]

    found: list[tuple[str, str, str]] = []  # (id, label name, split)
    for split, place in places:
        for name in _folders(place):
            found += [
                (path.relative_to(root).as_posix(), name, split) for path in _files(place / name)
            ]
    if not found:
        raise SourceError(
            f"{root}: holds no images in class folders; expected {root}/<label>/<image> or "
            f"{root}/train/<label>/<image>"
        )
    names = order_names(name for _, name, _ in found)
    return Source(
        kind="folder",
        title=root.resolve().name,
        label_names=names,
        records=_records(found, names),
        fetch=partial(_fetch, root),
    )


def _fetch(root: Path, location: str) -> bytes:
    return fetch_file(root / location)


def _records(found: list[tuple[str, str, str]], names: tuple[str, ...]) -> list[Record]:
    ids = {name: i for i, name in enumerate(names)}
    one_vote = one_vote_each(len(names))
    none = (0,) * len(names)
    records = []
    for location, name, split in sorted(found):
        label = ids[name] if name in ids else ids[name.lower()]  # "Awe" is Mikels' awe
        records.append(Record(location, one_vote[label], none, split))
    return records


def _is_split(name: str) -> bool:
    return name.lower() in SPLIT_FOLDERS


def _folders(place: Path) -> list[str]:
    try:
        entries = list(os.scandir(place))
    except OSError as error:
        raise SourceError(f"{place}: {error.strerror or error}") from None
    names = (e.name for e in entries if e.is_dir() and not e.name.startswith("."))
    return sorted(name for name in names if name != "__MACOSX")  # of zips from a Mac


def _files(place: Path) -> Iterator[Path]:
    """Yield the files below a folder, also those behind symbolic links."""
    seen = {os.path.realpath(place)}
    for folder, subfolders, files in os.walk(place, onerror=_refuse_unreadable, followlinks=True):
        subfolders[:] = [
            name
            for name in sorted(subfolders)
            if not name.startswith(".") and _leads_on(Path(folder) / name, seen)
        ]
        for name in sorted(files):
            if not name.startswith("."):
                yield Path(folder) / name


def _leads_on(folder: Path, seen: set[str]) -> bool:
    """Return whether a folder is none behind a link that was seen: links may lead in a circle."""
    real = os.path.realpath(folder)
    if folder.is_symlink() and real in seen:
        return False
    seen.add(real)
    return True


def _refuse_unreadable(error: OSError) -> None:
    raise SourceError(
        f"{error.filename}: {error.strerror or error}; make it readable or move it away"
    ) from None
