"""Batches of images: from memory where they fit, else block by block from where they are stored."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

# Images up to this size in all are held in memory as they are, uint8. FI at 160 px is 1.8 GB.
RESIDENT_BYTES = 4 << 30
# Streaming reads this many bytes at a time and shuffles so many of such blocks together.
BLOCK_BYTES, WINDOW = 16 << 20, 8


class Images(Protocol):
    """Images in order: a NumPy array, or rows of a store's array that are read when asked for.

    Attributes
    ----------
    shape : (n, side, side, 3)
    dtype : uint8
    """

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice) -> npt.NDArray[np.uint8]: ...


class Batches:
    """Batches of a training set, in an order that seed and epoch decide.

    Parameters
    ----------
    images : Images
    batch : int
        Rows in each; all of them where there are fewer.
    seed : int
    resident_bytes : int
        The most to hold in memory; of more only a window is held, in which rows are shuffled.
    parts : int
        A batch can be divided by it.

    Attributes
    ----------
    batch, steps : int
        Rows in a batch, and batches in an epoch.
    """

    def __init__(
        self,
        images: Images,
        batch: int,
        seed: int,
        resident_bytes: int | None = None,
        parts: int = 1,
    ) -> None:
        limit = RESIDENT_BYTES if resident_bytes is None else resident_bytes
        self.batch = max(min(batch, len(images)) // parts * parts, 1)
        self.steps = len(images) // self.batch
        self._images, self._seed = images, seed
        row_bytes = int(np.prod(images.shape[1:]))
        self.resident = len(images) * row_bytes <= limit
        self._block = max(1, min(BLOCK_BYTES, limit // (4 * WINDOW)) // row_bytes)
        self._held: Any = None

    def epoch(self, number: int) -> Iterator[tuple[Any, npt.NDArray[np.int64]]]:
        """Yield (uint8 (batch, side, side, 3), its rows (batch,)) for one epoch."""
        rng = np.random.default_rng([self._seed, number])
        yield from self._from_memory(rng) if self.resident else self._streamed(rng)

    def _from_memory(self, rng: np.random.Generator) -> Iterator[tuple[Any, Any]]:
        import tensorflow as tf

        if self._held is None:
            self._held = np.asarray(self._images[:])
            if tf.config.list_physical_devices("GPU"):
                self._held = tf.constant(self._held)
        order = rng.permutation(len(self._images))
        for step in range(self.steps):
            rows = order[step * self.batch : (step + 1) * self.batch]
            here = isinstance(self._held, np.ndarray)
            yield self._held[rows] if here else tf.gather(self._held, rows), rows

    def _streamed(self, rng: np.random.Generator) -> Iterator[tuple[Any, Any]]:
        """Shuffle blocks, then rows within windows of several blocks; read one window ahead."""
        starts = rng.permutation(np.arange(0, len(self._images), self._block))
        windows = [starts[i : i + WINDOW] for i in range(0, len(starts), WINDOW)]
        left: npt.NDArray[np.uint8] | None = None
        left_rows = np.empty(0, np.int64)
        given = 0
        with ThreadPoolExecutor(1) as reader:
            ahead = reader.submit(self._read, windows[0])
            for i in range(len(windows)):
                images, rows = ahead.result()
                if i + 1 < len(windows):
                    ahead = reader.submit(self._read, windows[i + 1])
                order = rng.permutation(len(rows))
                images, rows = images[order], rows[order]
                if left is not None and len(left):
                    images, rows = np.concatenate([left, images]), np.concatenate([left_rows, rows])
                whole = len(rows) // self.batch * self.batch
                for start in range(0, whole, self.batch):
                    if given < self.steps:
                        stop = start + self.batch
                        yield images[start:stop], rows[start:stop]
                        given += 1
                left, left_rows = images[whole:].copy(), rows[whole:]

    def _read(self, starts: npt.NDArray[np.int64]) -> tuple[Any, Any]:
        stops = np.minimum(starts + self._block, len(self._images))
        parts = [self._images[a:b] for a, b in zip(starts.tolist(), stops.tolist(), strict=True)]
        rows = [np.arange(a, b) for a, b in zip(starts, stops, strict=True)]
        return np.concatenate(parts), np.concatenate(rows)


def in_memory(images: Images) -> Images:
    """Return images as an array where they fit in memory, else as they are."""
    fit = np.prod(images.shape, dtype=np.int64) <= RESIDENT_BYTES
    return np.asarray(images[:]) if fit else images


def channel_statistics(images: Images) -> tuple[Any, Any]:
    """Return mean and standard deviation of the channels, float32 (3,) each, within 0..255.

    Of at most some thousand images, taken evenly: the third digit does not matter.
    """
    step = max(1, len(images) // 8)
    starts = range(0, len(images), step)
    parts = np.concatenate([images[a : a + min(step, 512)] for a in starts])
    flat = parts.reshape(-1, parts.shape[-1]).astype(np.float32)
    spread = flat.std(axis=0)
    return flat.mean(axis=0), np.where(spread > 0, spread, 1).astype(np.float32)
