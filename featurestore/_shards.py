"""Reading a large array of a store on a local disk, past zarr.

zarr reads any layout; per read of some rows that costs it many times what copying them does. This
reads only what ``create_pixels`` writes. ``docs/store-layout.md`` has the measurements.
"""

import errno
import mmap
import os
import struct
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numcodecs.blosc
import numpy as np
import numpy.typing as npt

from featurestore._engines import usable_cores
from featurestore._shard_index import ForeignLayoutError, Layout, parse_index, read_layout
from featurestore.errors import StoreDamagedError

# Decoded chunks that an array keeps: 170,000 images of 32 px, or 7,000 of 160 px. That is all of
# most stores' thumbnails; larger images are held in memory by what trains on them.
CACHE_BYTES = 512 << 20
# Whoever asks for more than this at once, and for most rows of the chunks that they lie in, loads
# them to keep them, and needs no second copy of them here.
_LARGE_READ = 32 << 20
_BLOSC_SIZES = struct.Struct("<4xI4xI")  # of a header: bytes decoded, bytes with the header

Which = slice | npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


class _Source(Protocol):
    def gather(self, which: Which) -> npt.NDArray[np.void]:
        """Return copies of these rows, (k,), each an item of as many bytes."""


class LocalArray:
    """An array of a store on a local disk, read-only; any number of threads may read it.

    Uncompressed files are mapped into memory. The mapping stays as it was when a store gets more
    rows, which puts new files in place of old ones; Windows lets nobody do that meanwhile. As with
    any mapping, a disk that fails, or a file that is cut short in place, ends the process. Of
    compressed ones, some decoded chunks are kept (``CACHE_BYTES``).

    Parameters
    ----------
    folder : Path
        Has the array's ``zarr.json``.

    Attributes
    ----------
    shape : (n, ...)
    dtype : numpy.dtype

    Raises
    ------
    StoreDamagedError
        If its ``zarr.json`` can't be read; and when rows are read that have been lost. A wrong bit
        within pixels shows in no read: checksums of whole files are what ``bench verify`` compares.
    ForeignLayoutError
        If it isn't laid out as ``create_pixels`` does.
    """

    def __init__(self, folder: Path) -> None:
        self._layout = read_layout(folder)
        self.shape, self.dtype = self._layout.shape, self._layout.dtype
        self._source: _Source
        self._source = (_Decoded if self._layout.compressed else _Mapped)(self._layout)

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.shape[0]

    def __getitem__(self, which: slice) -> npt.NDArray[Any]:
        """Read rows one after the other, (k, ...), as a new array.

        Raises
        ------
        ValueError
            If the slice has a step other than 1.
        StoreDamagedError
        """
        if which.step not in (None, 1):
            raise ValueError("rows are read one after the other: the step is 1")
        return self._shaped(self._source.gather(which))

    def take(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Read these rows, (k, ...), as a new array.

        Parameters
        ----------
        rows : int64 (k,)
            In any order; -1 is the last row, as in NumPy.

        Raises
        ------
        IndexError
            If there is no such row.
        StoreDamagedError
        """
        return self._shaped(self._source.gather(np.asarray(rows, np.int64)))

    def _shaped(self, rows: npt.NDArray[np.void]) -> npt.NDArray[Any]:
        return rows.view(self.dtype).reshape(len(rows), *self.shape[1:])

    def __reduce__(self) -> tuple[type["LocalArray"], tuple[Path]]:
        """Pickle the path alone."""
        return LocalArray, (self._layout.folder,)


def _row_numbers(layout: Layout, which: Which) -> npt.NDArray[np.int64]:
    """Return the rows that are meant, int64 (k,), none below 0."""
    count = layout.shape[0]
    if isinstance(which, slice):
        return np.arange(*which.indices(count))
    return np.where(which < 0, which + count, which)


class _Mapped:
    """Rows of uncompressed chunks, where they lie in the mapped files.

    All files are seen as one NumPy array, so that one call copies rows from any of them: calls for
    each file would cost more than the copying. It reaches from the first mapping's address to the
    last one's, and only positions in it that lie within a chunk are ever read.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._mappings: list[Bytes] = []
        self._lost: dict[int, Exception] = {}
        chunks = np.full(layout.shards * layout.chunks_per_shard, -1, np.int64)
        for shard, places in enumerate(chunks.reshape(-1, layout.chunks_per_shard)):
            try:
                places[:] = self._map(layout.shard_path(shard))
            except (OSError, ValueError) as error:
                if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
                    raise ForeignLayoutError(f"{layout.folder}: too many files to map") from None
                self._lost[shard] = error
        there = chunks >= 0
        first = int(chunks[there].min(initial=np.iinfo(np.int64).max))
        # Positions are counted in the largest step that leads to every row.
        step = int(np.gcd.reduce(chunks[there] - first, initial=layout.row_bytes))
        rows = (chunks[:, None] - first) // step
        rows = rows + np.arange(layout.chunk_rows) * (layout.row_bytes // step)
        self._at = np.where(there[:, None], rows, -1).reshape(-1)[: layout.shape[0]].copy()
        self._whole = bool((self._at >= 0).all())
        self._rows = _items(first, int(self._at.max(initial=-1)) + 1, step, layout.row_bytes)

    def _map(self, path: Path) -> npt.NDArray[np.int64]:
        """Map a file; return its chunks' addresses, -1 for those that were never written."""
        with path.open("rb") as file:
            mapping = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
        end = mapping[-self._layout.index_bytes :].tobytes()
        offsets = parse_index(self._layout, end, len(mapping))[:, 0]
        self._mappings.append(mapping)
        return np.where(offsets < 0, -1, offsets + mapping.ctypes.data)

    def gather(self, which: Which) -> npt.NDArray[np.void]:
        at = self._at[which]
        if not self._whole and (at < 0).any():
            chunk = int(_row_numbers(self._layout, which)[at < 0][0]) // self._layout.chunk_rows
            lost = self._lost.get(chunk // self._layout.chunks_per_shard, "it was never written")
            raise self._layout.damaged(chunk, lost)
        return self._rows[at]


def _items(address: int, count: int, step: int, size: int) -> npt.NDArray[np.void]:
    """Return memory as a read-only array (count,) of items of some bytes, one at every step."""
    if not count:
        return np.empty(0, f"V{size}")

    class Memory:
        __array_interface__ = {  # noqa: RUF012 - NumPy reads it, nobody writes it
            "version": 3,
            "typestr": f"|V{size}",
            "shape": (count,),
            "strides": (step,),
            "data": (address, True),
        }

    return np.asarray(Memory())


class _Decoded:
    """Rows of compressed chunks, decoded on all cores, of which some are kept."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._kept = _Kept(layout)
        self._lock = Lock()
        self._following = 0  # the chunk that comes after those decoded last
        self._indices: dict[int, tuple[tuple[int, ...], npt.NDArray[np.int64]]] = {}

    def gather(self, which: Which) -> npt.NDArray[np.void]:
        kept = self._kept
        at = kept.at[which]
        # Where there is room for all, nothing that is kept ever goes.
        if kept.room_for_all and not (at < 0).any():
            return kept.rows[at]
        rows = _row_numbers(self._layout, which)
        chunks = np.unique(rows // self._layout.chunk_rows)
        is_load = (
            len(rows) * self._layout.row_bytes > _LARGE_READ
            and 2 * len(rows) > len(chunks) * self._layout.chunk_rows
        )
        if is_load or len(chunks) > kept.slots:
            return self._decode_rows(rows)
        with self._lock:
            kept = self._keep(chunks)
            return kept.rows[kept.at[rows]]

    def _keep(self, chunks: npt.NDArray[np.int64]) -> "_Kept":
        """Return what is kept, with these chunks (k,) in it."""
        kept = self._kept
        missing = kept.touch(chunks).tolist()
        if not missing:
            return kept
        ahead = range(0)
        if missing[0] == self._following:  # read from front to back: the next ones are soon needed
            room = min(usable_cores() - len(missing), kept.slots - len(chunks))
            start = missing[-1] + 1
            ahead = range(start, min(start + max(room, 0), self._layout.chunks))
        wanted = [*missing, *(chunk for chunk in ahead if kept.slot[chunk] < 0)]
        try:
            slots = kept.make_room(len(wanted)).tolist()
            targets = [kept.chunks[slot] for slot in slots]
            errors = list(_workers(os.getpid()).map(self._try_decode, wanted, targets))
            for chunk, slot, error in zip(wanted, slots, errors, strict=True):
                if error is None:
                    kept.put(chunk, slot)
        except BaseException:
            # After Ctrl-C a thread may still write into what another chunk would be put in.
            self._kept = _Kept(self._layout)
            raise
        self._following = wanted[-1] + 1
        for error in errors[: len(missing)]:  # of those read ahead, nobody has asked for any
            if error is not None:
                raise error
        return kept

    def _decode_rows(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.void]:
        """Return rows, (k,), without keeping anything."""
        layout = self._layout
        found = np.empty((len(rows), layout.row_bytes), np.uint8)
        chunk_of, within = np.divmod(rows, layout.chunk_rows)
        order = np.argsort(chunk_of, kind="stable")
        borders = np.flatnonzero(np.diff(chunk_of[order])) + 1
        whole = np.arange(layout.chunk_rows)

        def fill(where: npt.NDArray[np.int64]) -> None:
            chunk, first = int(chunk_of[where[0]]), int(where[0])
            part = found[first : first + layout.chunk_rows]
            if np.array_equal(within[where], whole) and np.array_equal(where, whole + first):
                self._decode(chunk, part.reshape(-1))
                return
            decoded = np.empty((layout.chunk_rows, layout.row_bytes), np.uint8)
            self._decode(chunk, decoded.reshape(-1))
            found[where] = decoded[within[where]]

        for _ in _workers(os.getpid()).map(fill, np.split(order, borders)):
            pass
        return found.view(f"V{layout.row_bytes}")[:, 0]

    def _try_decode(self, chunk: int, target: Bytes) -> StoreDamagedError | None:
        try:
            self._decode(chunk, target)
        except StoreDamagedError as error:
            return error
        return None

    def _decode(self, chunk: int, target: Bytes) -> None:
        """Decode a chunk into a buffer of its size."""
        shard, number = divmod(chunk, self._layout.chunks_per_shard)
        try:
            packed = self._read(shard, number)
            sizes = _BLOSC_SIZES.unpack_from(packed) if len(packed) >= 16 else ()
            # Blosc takes its header's word for where its input ends, and for how much it fills.
            if sizes != (target.nbytes, len(packed)):
                raise ValueError("a chunk has another size")
            numcodecs.blosc.decompress(packed, target)
        except (OSError, ValueError, RuntimeError) as error:
            raise self._layout.damaged(chunk, error) from None

    def _read(self, shard: int, number: int) -> bytes:
        """Return the bytes of a chunk of a file.

        Files aren't kept open: large images fill more of them than a process may have open.
        """
        with self._layout.shard_path(shard).open("rb", buffering=0) as file:
            about = os.fstat(file.fileno())
            # A store that gets more rows has another file in its place, which begins with the same.
            identity = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns)
            known, index = self._indices.get(shard, ((), None))
            if index is None or known != identity:
                file.seek(max(about.st_size - self._layout.index_bytes, 0))
                index = parse_index(self._layout, file.read(), about.st_size)
                self._indices[shard] = identity, index
            offset, length = index[number].tolist()
            if offset < 0:
                raise ValueError("it was never written")
            file.seek(offset)
            return file.read(length)


class _Kept:
    """Decoded chunks in memory, those read least recently giving way to others.

    They lie in one NumPy array, so that one call copies rows from any of them.

    Attributes
    ----------
    slots : int
        How many chunks there is room for.
    room_for_all : bool
    chunks : uint8 (slots, chunk bytes)
    rows : void (slots * chunk rows,)
        The same memory, row by row.
    at : int64 (n,)
        Where in ``rows`` each row of the array is; -1 where it isn't.
    slot : int64 (number of chunks,)
        Where in ``chunks`` each is; -1 where it isn't.
    """

    def __init__(self, layout: Layout) -> None:
        self._chunk_rows = layout.chunk_rows
        self.slots = min(layout.chunks, max(CACHE_BYTES // layout.chunk_bytes, 1))
        self.room_for_all = self.slots == layout.chunks
        # Memory that nothing was written to takes no room.
        self.chunks: Bytes = np.empty((self.slots, layout.chunk_bytes), np.uint8)
        self.rows = self.chunks.reshape(-1).view(f"V{layout.row_bytes}")
        self.at = np.full(layout.shape[0], -1, np.int64)
        self.slot = np.full(layout.chunks, -1, np.int64)
        self._chunk_in = np.full(self.slots, -1, np.int64)
        self._last_use = np.zeros(self.slots, np.int64)
        self._uses = 0

    def touch(self, chunks: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Note that chunks (k,) are read now; return those that aren't here."""
        slots = self.slot[chunks]
        self._uses += 1
        self._last_use[slots[slots >= 0]] = self._uses
        return chunks[slots < 0]

    def make_room(self, count: int) -> npt.NDArray[np.int64]:
        """Return slots (count,) that are free now, or were used least recently."""
        slots = np.argsort(self._last_use, kind="stable")[:count]
        for chunk in self._chunk_in[slots].tolist():
            if chunk >= 0:
                self.slot[chunk] = -1
                self.at[self._rows_of(chunk)] = -1
        self._chunk_in[slots] = -1
        self._last_use[slots] = 0
        return slots

    def put(self, chunk: int, slot: int) -> None:
        """Note that a chunk has been decoded into a slot."""
        rows = self._rows_of(chunk)
        self.slot[chunk], self._chunk_in[slot], self._last_use[slot] = slot, chunk, self._uses
        first = slot * self._chunk_rows
        self.at[rows] = np.arange(first, first + len(self.at[rows]))

    def _rows_of(self, chunk: int) -> slice:
        return slice(chunk * self._chunk_rows, (chunk + 1) * self._chunk_rows)


@cache
def _workers(process: int) -> ThreadPoolExecutor:
    """Return the threads that decode; a process that was forked has none of its parent's."""
    return ThreadPoolExecutor(usable_cores(), "decode")
