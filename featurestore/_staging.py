"""The staging folder: what an unfinished extraction has done so far.

    STORE/.staging/
        lock             held by the one process that writes
        settings.json    what the extraction was started with
        segments/*.npz   results, as they came

A segment is one file, written aside and renamed, so it is there whole or not at all. Which results
share a segment depends on timing; the store made from them doesn't. After ``kill -9`` nothing but
the results not yet in a segment is done again.
"""

import io
import json
import os
import shutil
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import filelock
import numpy as np
import numpy.typing as npt

from featurestore._pipeline import Result
from featurestore.errors import StoreBusyError, StoreMismatchError

SEGMENT_RESULTS = 128
SEGMENT_SECONDS = 2.0  # what a crash may cost, at most, in seconds of work


@dataclass(frozen=True)
class Outcomes:
    """What became of each record, a column each; all of length m, the number of records.

    ``kind`` is None where nothing is known yet. ``segment`` and ``position`` say where the pixels
    and the embedding are; both are -1 where there are none.
    """

    kind: list[str | None]
    detail: list[str]
    sha256: list[str]
    format: list[str]
    size: npt.NDArray[np.int64]
    width: npt.NDArray[np.int32]
    height: npt.NDArray[np.int32]
    segment: npt.NDArray[np.int32]
    position: npt.NDArray[np.int32]


class Staging:
    """The staging folder of one store, held by this process; use it in a ``with`` statement.

    Raises
    ------
    StoreBusyError
        On entering, if another process holds it.
    """

    def __init__(self, store: Path) -> None:
        self.folder = store / ".staging"
        self._segments = self.folder / "segments"
        self._lock = filelock.FileLock(self.folder / "lock", timeout=0)
        self._pending: list[Result] = []
        self._flushed = time.monotonic()
        self._next = 0

    def __enter__(self) -> Self:
        self._segments.mkdir(parents=True, exist_ok=True)
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
        try:
            if self._segments.exists():
                self.flush()
        finally:
            self._lock.release()

    def begin(self, settings: dict[str, Any]) -> None:
        """Note the settings, or compare them with those noted when the extraction was begun.

        Raises
        ------
        StoreMismatchError
            If they differ; names the first difference.
        """
        path = self.folder / "settings.json"
        if path.exists():
            refuse_difference(self.folder.parent, json.loads(path.read_text()), settings)
        else:
            write_durably(path, json.dumps(settings, indent=1).encode())

    def read_outcomes(self, count: int) -> Outcomes:
        """Read what is known of ``count`` records. A segment that can't be read is dropped."""
        found = Outcomes(
            kind=[None] * count,
            detail=[""] * count,
            sha256=[""] * count,
            format=[""] * count,
            size=np.zeros(count, np.int64),
            width=np.zeros(count, np.int32),
            height=np.zeros(count, np.int32),
            segment=np.full(count, -1, np.int32),
            position=np.full(count, -1, np.int32),
        )
        for number, path in self._numbered():
            try:
                with np.load(path, allow_pickle=False) as segment:
                    columns = {name: segment[name] for name in segment.files}
            except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
                path.unlink()  # damaged on disk: its records are simply done again
                continue
            _spread(columns, number, found)
            self._next = max(self._next, number + 1)
        return found

    def read_arrays(self, number: int) -> dict[str, npt.NDArray[Any]]:
        """Return a segment's ``images`` uint8 (k, 32, 32, 3) and ``embeddings`` float32 (k, d)."""
        with np.load(self._segments / f"{number:08d}.npz", allow_pickle=False) as segment:
            return {name: segment[name] for name in ("images", "embeddings")}

    def add(self, result: Result) -> None:
        """Keep a result; it is on disk after at most 128 results or about 2 seconds."""
        self._pending.append(result)
        due = time.monotonic() - self._flushed > SEGMENT_SECONDS
        if due or len(self._pending) >= SEGMENT_RESULTS:
            self.flush()

    def flush(self) -> None:
        """Write the pending results as a segment."""
        self._flushed = time.monotonic()
        if not self._pending:
            return
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **_columns(self._pending))
        write_durably(self._segments / f"{self._next:08d}.npz", buffer.getvalue())
        self._next += 1
        self._pending = []

    def remove(self) -> None:
        """Delete the staging folder: the store is finished, or there is nothing to keep."""
        self._pending = []
        shutil.rmtree(self._segments)
        (self.folder / "settings.json").unlink(missing_ok=True)
        # The lock file goes last, and while it is held.
        shutil.rmtree(self.folder, ignore_errors=True)

    def _numbered(self) -> Iterator[tuple[int, Path]]:
        for path in sorted(self._segments.glob("*.npz")):
            yield int(path.stem), path


def _columns(results: list[Result]) -> dict[str, npt.NDArray[Any]]:
    images = [r.image for r in results if r.image is not None]
    embeddings = [r.embedding for r in results if r.embedding is not None]
    # Positions count the results that have an image; the others have -1.
    has_image = np.array([r.image is not None for r in results])
    position = np.where(has_image, np.cumsum(has_image) - 1, -1)
    return {
        "index": np.array([r.index for r in results], np.int64),
        "kind": np.array([r.kind for r in results], np.str_),
        "detail": np.array([r.detail for r in results], np.str_),
        "sha256": np.array([r.sha256 for r in results], np.str_),
        "size": np.array([r.size for r in results], np.int64),
        "format": np.array([r.image.format if r.image else "" for r in results], np.str_),
        "width": np.array([r.image.width if r.image else 0 for r in results], np.int32),
        "height": np.array([r.image.height if r.image else 0 for r in results], np.int32),
        "position": position.astype(np.int32),
        "images": np.array([image.thumbnail for image in images], np.uint8),
        "embeddings": np.array(embeddings, np.float32),
    }


def _spread(columns: dict[str, npt.NDArray[Any]], number: int, into: Outcomes) -> None:
    index = columns["index"]
    for name in ("kind", "detail", "sha256", "format"):
        target = getattr(into, name)
        for i, value in zip(index.tolist(), columns[name].tolist(), strict=True):
            target[i] = value
    for name in ("size", "width", "height", "position"):
        getattr(into, name)[index] = columns[name]
    into.segment[index] = np.where(columns["position"] >= 0, number, -1)


def refuse_difference(store: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Compare the settings of a store with those asked for.

    Raises
    ------
    StoreMismatchError
        If they differ; the text names the first difference.
    """
    for name in now | before:
        old, new = before.get(name), now.get(name)
        if old == new:
            continue
        if name == "source_fingerprint":
            what = "was made from other records: the source's files, labels or votes have changed"
        else:
            what = f"was made with {name} = {json.dumps(old)}, now it is {json.dumps(new)}"
        raise StoreMismatchError(f"{store}: {what}; give the same again, or another --store")


def write_durably(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all, even after a power cut."""
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
