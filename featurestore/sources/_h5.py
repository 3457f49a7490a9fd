"""An HDF5 file of images and labels: ``image`` (n, h, w, 3) and ``emo`` (n, labels).

That is how an image emotion data set is passed around that is no longer to be had otherwise, and
what ``bench export --to h5`` writes. Nothing outside the file is opened, whatever it links to.
"""

import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from featurestore._decode import MAX_PIXELS
from featurestore._labels import MIKELS
from featurestore._records import SPLITS, Record, Source
from featurestore.errors import SourceError, Unreadable, in_short
from featurestore.sources._votes import one_vote_each, refuse_too_many

SIGNATURE = b"\x89HDF\r\n\x1a\n"
IMAGES, LABELS = "image", "emo"
_CACHE = 256 * 1024 * 1024  # bytes of decompressed chunks; images are read in a random order
_MOST_CHUNK = 512 * 1024 * 1024  # bytes; each image takes a whole chunk
_BLOCK = 8192  # rows of labels read at a time


def is_h5(path: Path) -> bool:
    """Return whether a file is HDF5, by its first bytes or by its ending."""
    if path.suffix.lower() in (".h5", ".hdf5", ".hdf"):
        return True
    try:
        with path.open("rb") as file:
            return file.read(len(SIGNATURE)) == SIGNATURE
    except OSError:
        return False


def read_h5(path: Path, *, label_names: tuple[str, ...] | None = None) -> Source:
    """Return the images of an HDF5 file as a source.

    The file holds ``image``, uint8 (n, h, w, 3), RGB, and ``emo``, numbers (n, labels), of which
    one in each row is 1 and the others are 0; a row with none or several becomes a failure in the
    manifest. ``split``, integers (n,), 0 train, 1 dev, 2 test, may be there, and so may the
    attributes ``label_names``, texts of a fixed length, and ``synthetic``.

    Parameters
    ----------
    path : Path
    label_names : tuple of str, optional
        What the columns of ``emo`` are called: else what the file says, or Mikels' eight if there
        are eight.

    Raises
    ------
    SourceError
        If the file is no HDF5 or a damaged one, an array is missing or of another shape or kind, or
        nothing says what the labels are called.
    """
    file = _open(path)
    try:
        return _read(path, file, label_names)
    except SourceError:
        file.close()
        raise
    except Exception as error:  # h5py raises many kinds on damaged bytes
        file.close()
        raise SourceError(f"{path}: is damaged ({in_short(error)}); get it again") from None


def _open(path: Path) -> Any:
    try:
        return h5py.File(path, "r", rdcc_nbytes=_CACHE)
    except OSError as error:
        what = "is damaged or truncated" if _has_signature(path) else "is no HDF5 file"
        raise SourceError(f"{path}: {what} ({in_short(error)})") from None


def _read(path: Path, file: Any, given: tuple[str, ...] | None) -> Source:
    images = _array(path, file, IMAGES)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise _wrong(path, IMAGES, images, "uint8 (n, height, width, 3)")
    count, height, width, _ = images.shape
    if not count or not 0 < height * width <= MAX_PIXELS:
        raise SourceError(f"{path}: {IMAGES} has the shape {images.shape}: there are no images")
    emo = _array(path, file, LABELS)
    if emo.dtype.kind not in "biuf" or emo.ndim != 2 or emo.shape[0] != count:
        raise _wrong(path, LABELS, emo, f"numbers ({count}, labels), one row for each image")
    names = _label_names(path, file, emo.shape[1], given)
    refuse_too_many(str(path), len(names))
    return Source(
        kind="h5",
        title=path.resolve().name,
        label_names=names,
        records=_records(
            _labels(emo), len(names), _splits(path, file, count), _origins(path, file)
        ),
        fetch=_Fetch(path, images),
        synthetic=bool(_attribute(path, file, "synthetic")),
    )


def _array(path: Path, file: Any, name: str) -> Any:
    """Return an array that lies in the file, whole."""
    link = file.get(name, getlink=True)
    if link is None:
        there = ", ".join(sorted(map(str, file))[:8]) or "nothing"
        raise SourceError(f"{path}: has no array {name!r}, it has {there}")
    if not isinstance(link, h5py.HardLink):
        raise SourceError(f"{path}: {name} is a link to elsewhere; copy the array into the file")
    array = file[name]
    if not isinstance(array, h5py.Dataset):
        raise SourceError(f"{path}: {name} is a group; it must be an array")
    if array.is_virtual or array.external:
        raise SourceError(f"{path}: {name} lies in other files; copy the array into this one")
    if array.size and not array.id.get_storage_size():  # would read as zeros, however many
        raise SourceError(f"{path}: {name} was never written; get the file again")
    if array.chunks:
        _refuse_chunks(path, name, array)
    return array


def _refuse_chunks(path: Path, name: str, array: Any) -> None:
    """Refuse what is read as zeros, however many, and what takes much memory for one image."""
    size = math.prod(array.chunks) * array.dtype.itemsize
    if size > _MOST_CHUNK:
        raise SourceError(
            f"{path}: {name} lies in chunks of {size:,} bytes, more than {_MOST_CHUNK:,}; write it "
            "with smaller ones"
        )
    needed = math.prod(-(-n // m) for n, m in zip(array.shape, array.chunks, strict=True))
    if (written := array.id.get_num_chunks()) < needed:
        raise SourceError(
            f"{path}: {name} was written in part, {written:,} of {needed:,} chunks; get the file "
            "again"
        )


def _wrong(path: Path, name: str, array: Any, wanted: str) -> SourceError:
    return SourceError(f"{path}: {name} is {array.dtype} {array.shape}; it must be {wanted}")


def _label_names(
    path: Path, file: Any, columns: int, given: tuple[str, ...] | None
) -> tuple[str, ...]:
    names = given or _named(path, file) or (MIKELS if columns == len(MIKELS) else None)
    if names is None:
        raise SourceError(
            f"{path}: {LABELS} has {columns} columns and nothing says what they are called: give "
            "--labels a,b,c in their order"
        )
    if len(names) != columns:
        raise SourceError(
            f"{path}: {LABELS} has {columns} columns, but there are {len(names)} labels "
            f"({', '.join(names[:10])}): give as many with --labels"
        )
    return names


def _named(path: Path, file: Any) -> tuple[str, ...] | None:
    """Return the label names that the file itself gives, if it does."""
    if (found := _attribute(path, file, "label_names")) is None:
        return None
    values = np.asarray(found).reshape(-1).tolist()
    names = tuple(v.decode() if isinstance(v, bytes) else str(v) for v in values)
    if not all(names) or len(set(names)) != len(names):
        raise SourceError(f"{path}: its label names are empty or the same: give --labels a,b,c")
    return names


def _attribute(path: Path, file: Any, name: str) -> Any:
    """Return an attribute, or None if it isn't there.

    Texts of variable length lie in a heap, and where that is damaged HDF5 searches it for ever.
    """
    if name not in file.attrs:
        return None
    if file.attrs.get_id(name).dtype.hasobject:
        raise SourceError(
            f"{path}: its attribute {name} holds texts of variable length, which can't be read "
            "safely: write it with a fixed length, or give --labels a,b,c for label names"
        )
    return file.attrs[name]


def _labels(emo: Any) -> list[int | str]:
    """Return the label of each row, or why it has none."""
    labels: list[int | str] = []
    for start in range(0, len(emo), _BLOCK):
        rows: npt.NDArray[Any] = emo[start : start + _BLOCK]
        ones = (rows == 1).sum(axis=1)
        is_clean = ((rows == 0) | (rows == 1)).all(axis=1)
        for label, count, clean in zip(rows.argmax(axis=1), ones, is_clean, strict=True):
            if clean and count == 1:
                labels.append(int(label))
            else:
                labels.append(
                    f"has {count} labels" if clean else "holds other numbers than 0 and 1"
                )
    return labels


def _splits(path: Path, file: Any, count: int) -> Sequence[str]:
    """Return the split of each row, "" where there is none."""
    if "split" not in file:
        return [""] * count
    splits = _array(path, file, "split")
    if splits.dtype.kind not in "iu" or splits.shape != (count,):
        raise _wrong(path, "split", splits, f"integers ({count},), one for each image")
    numbers = splits[:]
    if not np.isin(numbers, range(len(SPLITS))).all():
        raise SourceError(f"{path}: split holds other numbers than 0 train, 1 dev and 2 test")
    return [SPLITS[number] for number in numbers]


def _origins(path: Path, file: Any) -> Callable[[int], str]:
    """Return what tells where a row came from; what `bench export` wrote knows more."""
    ids = _array(path, file, "id") if "id" in file else None
    if ids is None or ids.dtype.kind != "S" or ids.shape != file[IMAGES].shape[:1]:
        return lambda row: f"{path.name}:{row}"
    known = ids[:]
    return lambda row: f"{path.name}:{row}, of {known[row].decode('ascii', 'replace')}"


def _records(
    labels: list[int | str], size: int, splits: Sequence[str], origins: Callable[[int], str]
) -> list[Record]:
    none, one_vote = (0,) * size, one_vote_each(size)
    records = []
    for row, (label, split) in enumerate(zip(labels, splits, strict=True)):
        place, origin = f"{IMAGES}/{row:09}", origins(row)
        if isinstance(label, int):
            records.append(Record(place, one_vote[label], none, split, origin))
        else:
            detail = f"{LABELS} {label}"
            records.append(Record(place, none, none, split, origin, "bad_row", detail))
    if all(record.kind for record in records):
        first = records[0]
        raise SourceError(f"{first.origin}: {first.detail}, and no other row can be used either")
    return records


class _Fetch:
    """Gives an image as the bytes of a PPM file: a header, and the pixels as they are.

    So the sha256 of an image depends on its pixels alone, not on the version of an encoder.
    """

    def __init__(self, path: Path, images: Any) -> None:
        self._path, self._images = path, images

    def __call__(self, place: str) -> bytes:
        row = int(place.rpartition("/")[2])
        try:
            pixels = self._images[row]
        except Exception as error:  # as above
            raise Unreadable(f"{self._path}, {IMAGES} {row}: {in_short(error)}") from None
        height, width, _ = pixels.shape
        return b"P6 %d %d 255\n" % (width, height) + bytes(pixels.tobytes())

    def __reduce__(self) -> tuple[Any, ...]:
        return _open_again, (self._path,)  # an open file is this process' own


@functools.lru_cache(maxsize=4)
def _open_again(path: Path) -> _Fetch:
    return _Fetch(path, _array(path, _open(path), IMAGES))


def _has_signature(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(SIGNATURE)) == SIGNATURE
