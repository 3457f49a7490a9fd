"""Results on disk, as they come.

A segment is one ``.npz`` file of up to 128 results, or fewer with large images, which is there
whole or not at all. Which results share a segment depends on timing; the store made from them
doesn't. Of a record that is in two of them, because work was given out twice or a failure was tried
again, one with an image counts.
"""

import io
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import compress
from typing import Any

import numpy as np
import numpy.typing as npt

from featurestore._layout import images_name
from featurestore._npz import DamagedArraysError, read_arrays
from featurestore._pipeline import Result
from featurestore._place import Place

SEGMENT_RESULTS = 128
SEGMENT_BYTES = 8 * 2**20  # of larger images; a segment is several times in memory at once
SEGMENT_SECONDS = 2.0  # what a crash may cost, at most, in seconds of work
_READERS = 8  # segments read at a time: in an object store each costs a round trip
_TEXTS = ("kind", "detail", "sha256", "format", "final_url")
_NUMBERS = ("size", "width", "height", "http_status", "tries", "seconds", "position")
_COLUMNS = ("index", *_TEXTS, *_NUMBERS, "images", "embeddings")


@dataclass(frozen=True)
class Outcomes:
    """What became of each record, a column each; all of length m, the number of records.

    ``kind`` is None where nothing is known yet. ``segment`` and ``position`` say where the pixels
    and the embedding are; both are -1 where there are none. ``files`` names the segments.
    """

    kind: list[str | None]
    detail: list[str]
    sha256: list[str]
    format: list[str]
    final_url: list[str]
    size: npt.NDArray[np.int64]
    width: npt.NDArray[np.int32]
    height: npt.NDArray[np.int32]
    http_status: npt.NDArray[np.int32]
    tries: npt.NDArray[np.int32]
    seconds: npt.NDArray[np.float32]
    segment: npt.NDArray[np.int32]
    position: npt.NDArray[np.int32]
    files: list[str]

    @classmethod
    def unknown(cls, count: int) -> "Outcomes":
        """Return the outcomes of ``count`` records of which nothing is known yet."""
        return cls(
            kind=[None] * count,
            detail=[""] * count,
            sha256=[""] * count,
            format=[""] * count,
            final_url=[""] * count,
            size=np.zeros(count, np.int64),
            width=np.zeros(count, np.int32),
            height=np.zeros(count, np.int32),
            http_status=np.zeros(count, np.int32),
            tries=np.zeros(count, np.int32),
            seconds=np.zeros(count, np.float32),
            segment=np.full(count, -1, np.int32),
            position=np.full(count, -1, np.int32),
            files=[],
        )

    def where(self, records: npt.NDArray[np.int64]) -> "Where":
        """Return where the pixels and embeddings of some records are."""
        numbers, files = np.unique(self.segment[records], return_inverse=True)
        assert (numbers >= 0).all()  # else some have none
        names = [self.files[number] for number in numbers.tolist()]
        return Where(names, files, self.position[records])


@dataclass(frozen=True)
class Where:
    """Where the pixels and embeddings of k records are.

    Attributes
    ----------
    files : list of str
        Names of segments.
    file : int (k,), of these
    position : int (k,), within it
    """

    files: list[str]
    file: npt.NDArray[Any]
    position: npt.NDArray[Any]


class Segments:
    """The segments of one pass over a source, in a place of their own.

    Parameters
    ----------
    place : Place
    prefix : str
        What the names of those that are written begin with: no two writers have the same.

    Attributes
    ----------
    place : Place
    """

    def __init__(self, place: Place, prefix: str = "") -> None:
        self.place, self._prefix = place, prefix
        self._pending: list[Result] = []
        self._pending_bytes = 0
        self._flushed = time.monotonic()
        self._next = 0

    def read_outcomes(self, count: int) -> Outcomes:
        """Read what is known of ``count`` records. A segment that can't be read is dropped."""
        found = Outcomes.unknown(count)
        files = [key for key in self.place.keys() if key.endswith(".npz")]  # noqa: SIM118  # no dict
        with ThreadPoolExecutor(_READERS) as pool:
            for file, columns in zip(
                files, pool.map(lambda file: self._read_columns(file, count), files), strict=True
            ):
                if columns is None:
                    self.place.delete(file)  # its records are simply done again
                    continue
                _spread(columns, len(found.files), found)
                found.files.append(file)
        number = [int(file[:-4]) for file in found.files if file[:-4].isdigit()]
        self._next = max(number, default=-1) + 1
        return found

    def read_array(self, file: str, name: str) -> npt.NDArray[Any]:
        """Return a segment's "images" uint8 (k, 32, 32, 3) or "embeddings" float32 (k, dims).

        Larger images have the name of their array in a store, such as "images_160".
        """
        with self.place.open(file) as opened, np.load(opened, allow_pickle=False) as segment:
            array: npt.NDArray[Any] = segment[name]
            return array

    def read_rows(self, name: str, where: Where) -> npt.NDArray[Any]:
        """Return images or embeddings of some records, (k, ...), k > 0, in their order."""
        rows: npt.NDArray[Any] | None = None
        order = np.argsort(where.file, kind="stable")
        places = np.split(order, np.cumsum(np.bincount(where.file))[:-1])
        with ThreadPoolExecutor(_READERS) as pool:
            parts = pool.map(lambda file: self.read_array(file, name), where.files)
            for here, part in zip(places, parts, strict=True):
                if rows is None:
                    rows = np.empty((len(order), *part.shape[1:]), part.dtype)
                rows[here] = part[where.position[here]]
        assert rows is not None
        return rows

    def add(self, result: Result) -> None:
        """Keep a result; it is on disk after at most 128 results, 8 MiB or about 2 seconds."""
        self._pending.append(result)
        if result.image is not None:
            self._pending_bytes += sum(pixels.nbytes for pixels in result.image.larger.values())
        if len(self._pending) >= SEGMENT_RESULTS or self._pending_bytes >= SEGMENT_BYTES:
            self.flush()
        self.flush_if_due()

    def flush_if_due(self) -> None:
        """Write the pending results if that wasn't done for 2 seconds; to be called often."""
        if time.monotonic() - self._flushed > SEGMENT_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the pending results as a segment."""
        self._flushed = time.monotonic()
        if not self._pending:
            return
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **_columns(self._pending))
        self.place.write(f"{self._prefix}{self._next:08d}.npz", buffer.getvalue())
        self._next += 1
        self._pending = []
        self._pending_bytes = 0

    def _read_columns(self, file: str, count: int) -> dict[str, Any] | None:
        """Return all of a segment but pixels and embeddings; None if it is damaged."""
        with self.place.open(file) as opened:
            try:
                arrays = read_arrays(opened)  # all of them: that tells whether they are sound
                return _sound_columns(arrays, count)
            except (DamagedArraysError, SystemError):  # NumPy's, on characters that are none
                return None


def _sound_columns(arrays: dict[str, npt.NDArray[Any]], count: int) -> dict[str, Any] | None:
    """Return a segment's columns; None if they are not whole, or not of ``count`` records.

    Texts are lists of str, all else arrays (k,).
    """
    if not arrays.keys() >= set(_COLUMNS):
        return None
    columns = {name: arrays[name] for name in ("index", *_TEXTS, *_NUMBERS)}
    index, position = columns["index"], columns["position"]
    if any(c.shape != index.shape or c.ndim != 1 for c in columns.values()):
        return None
    if any(columns[name].dtype.kind != "U" for name in _TEXTS) or any(
        columns[name].dtype.kind not in "if" for name in _NUMBERS
    ):
        return None
    if index.dtype.kind != "i" or position.dtype.kind != "i":
        return None
    rows = {len(a) if a.ndim else 0 for n, a in arrays.items() if n not in columns}
    if ((index < 0) | (index >= count)).any() or (len(position) and position.max() >= min(rows)):
        return None
    return columns | {name: columns[name].tolist() for name in _TEXTS}


def _columns(results: Sequence[Result]) -> dict[str, npt.NDArray[Any]]:
    images = [r.image for r in results if r.image is not None]
    embeddings = [r.embedding for r in results if r.embedding is not None]
    # Positions count the results that have an image; the others have -1.
    has_image = np.array([r.image is not None for r in results])
    position = np.where(has_image, np.cumsum(has_image) - 1, -1)
    return {
        "index": np.array([r.index for r in results], np.int64),
        "kind": _texts(r.kind for r in results),
        "detail": _texts(r.detail for r in results),
        "sha256": _texts(r.sha256 for r in results),
        "format": _texts(r.image.format if r.image else "" for r in results),
        "final_url": _texts(r.final_url for r in results),
        "size": np.array([r.size for r in results], np.int64),
        "width": np.array([r.image.width if r.image else 0 for r in results], np.int32),
        "height": np.array([r.image.height if r.image else 0 for r in results], np.int32),
        "http_status": np.array([r.http_status for r in results], np.int32),
        "tries": np.array([r.tries for r in results], np.int32),
        "seconds": np.array([r.seconds for r in results], np.float32),
        "position": position.astype(np.int32),
        "images": np.array([image.thumbnail for image in images], np.uint8),
        "embeddings": np.array(embeddings, np.float32),
    } | {
        images_name(side): np.stack([image.larger[side] for image in images])
        for side in (images[0].larger if images else ())
    }


def _texts(values: Iterable[str]) -> npt.NDArray[np.str_]:
    # A URL may hold what UTF-8 can't; it is shown with its odd bytes.
    return np.array([v.encode("utf-8", "backslashreplace").decode() for v in values], np.str_)


def _spread(columns: dict[str, Any], number: int, into: Outcomes) -> None:
    new = (columns["position"] >= 0) | (into.segment[columns["index"]] < 0)
    columns = {
        name: list(compress(column, new)) if isinstance(column, list) else column[new]
        for name, column in columns.items()
    }
    index = columns["index"]
    for name in _TEXTS:
        target = getattr(into, name)
        for i, value in zip(index.tolist(), columns[name], strict=True):
            target[i] = value
    for name in _NUMBERS:
        getattr(into, name)[index] = columns[name]
    into.segment[index] = np.where(columns["position"] >= 0, number, -1)
