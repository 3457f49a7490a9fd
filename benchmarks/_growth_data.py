"""Synthetic data for benchmarks/growth.py, cheap at a million rows.

A row depends on its number alone, not on how many there are.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

BLOCK = 4096  # rows made at a time
SIDE, FIELD = 32, 1024  # px of an image, and of the fields that images are cut from
COPIES = 0.02  # share of images that are a noisy copy of the one before
DIMS, CLASSES, POOL = 1024, 8, 8192

Array = npt.NDArray[Any]


def image_blocks(rows: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield uint8 (k, 32, 32, 3), k of 4096 or fewer, ``rows`` of them in all.

    Sums of windows of two fields of 1/f noise, which is the spectrum of photographs: a window of
    each for every image, so that no two images have both in common.
    """
    for number, start in enumerate(range(0, rows, BLOCK)):
        rng = np.random.default_rng([1, number])
        images = sum(_windows(field, rng) for field in _fields())
        images *= rng.uniform(0.3, 1.0, BLOCK).astype(np.float32)[:, None, None, None]  # contrast
        copies = 1 + np.flatnonzero(rng.random(BLOCK - 1) < COPIES)
        images[copies] = images[copies - 1] + rng.normal(0, 2, images[copies].shape)
        yield np.clip(images[: rows - start] + 127, 0, 255).astype(np.uint8)


def _windows(field: Array, rng: np.random.Generator) -> Array:
    top, left = rng.integers(0, FIELD - SIDE, (2, BLOCK))
    inside = np.arange(SIDE)
    return field[(top[:, None] + inside)[:, :, None], (left[:, None] + inside)[:, None]]


@cache
def _fields() -> tuple[Array, Array]:
    """Return two fields of 1/f noise, float32 (1024, 1024, 3): mostly light, some colour."""
    rng = np.random.default_rng(0)
    frequency = np.hypot(np.fft.fftfreq(FIELD)[:, None], np.fft.rfftfreq(FIELD))
    frequency[0, 0] = np.inf

    def noise() -> Array:
        waves = rng.normal(size=frequency.shape) * np.exp(2j * np.pi * rng.random(frequency.shape))
        field = np.fft.irfft2(waves / frequency, (FIELD, FIELD))
        return field / field.std()

    def coloured() -> Array:
        light = noise()
        return np.stack([45 * light + 15 * noise() for _ in range(3)], axis=2).astype(np.float32)

    return coloured(), coloured()


def embedding_blocks(rows: int) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]]:
    """Yield float32 (k, 1024) and labels (k,), ``rows`` in all.

    Never negative and skewed, with variances that fall as those of pooled ReLU features do, in
    eight classes that overlap. Each is a class' mean with two rows of a pool of noise.
    """
    pool, means = _pool()
    for number, start in enumerate(range(0, rows, BLOCK)):
        rng = np.random.default_rng([2, number])
        count = min(BLOCK, rows - start)
        first, second = rng.integers(0, POOL, (2, BLOCK))[:, :count]
        y = rng.integers(0, CLASSES, BLOCK)[:count]
        X = pool[first]
        X += pool[second]
        X += means[y]
        yield np.exp(X, out=X), y


@cache
def _pool() -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    rotation = np.linalg.qr(rng.normal(size=(DIMS, DIMS)))[0].astype(np.float32)
    spread = np.arange(1, DIMS + 1, dtype=np.float32) ** -0.6
    pool = rng.standard_normal((POOL, DIMS), np.float32) * spread
    means = rng.standard_normal((CLASSES, DIMS), np.float32) * spread * np.float32(0.15)
    scale = np.float32(6 / np.sqrt(2))
    return scale * (pool @ rotation), scale * (means @ rotation)


def embeddings(rows: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return float32 X (rows, 1024) and y (rows,), made block by block in place."""
    X, y = np.empty((rows, DIMS), np.float32), np.empty(rows, np.int64)
    start = 0
    for block, labels in embedding_blocks(rows):
        stop = start + len(block)
        X[start:stop], y[start:stop] = block, labels
        start = stop
    return X, y


def labelled_images(rows: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return uint8 X (rows, 32, 32, 3) and y (rows,); labels are drawn by chance."""
    X = np.empty((rows, SIDE, SIDE, 3), np.uint8)
    start = 0
    for block in image_blocks(rows):
        X[start : start + len(block)] = block
        start += len(block)
    return X, np.random.default_rng(3).integers(0, CLASSES, rows)


def sha256_like(rows: int) -> list[str]:
    """Return ``rows`` texts as long and as random as a sha256 in hex."""
    data = np.random.default_rng(4).bytes(32 * rows).hex()
    return [data[start : start + 64] for start in range(0, len(data), 64)]


def records(rows: int) -> list[Any]:
    """Return as many records as a folder of class folders would give."""
    from featurestore._records import Record

    votes = [tuple(int(i == k) for i in range(CLASSES)) for k in range(CLASSES)]
    none = (0,) * CLASSES
    return [
        Record(f"label{n % CLASSES}/{n:08d}.jpg", votes[n % CLASSES], none) for n in range(rows)
    ]


def stage(folder: Path, in_order: Sequence[Any]) -> None:
    """Write results of all records as an extraction would: segments of 128."""
    from featurestore._decode import Decoded
    from featurestore._pipeline import Result
    from featurestore._place import LocalPlace
    from featurestore._segments import Segments

    segments = Segments(LocalPlace(folder))
    hashes = sha256_like(len(in_order))
    blocks = zip(image_blocks(len(in_order)), embedding_blocks(len(in_order)), strict=True)
    index = 0
    pixels = np.zeros((1, 1, 3), np.uint8)  # what a backbone would see isn't kept
    for images, (vectors, _) in blocks:
        for image, vector in zip(images, vectors, strict=True):
            decoded = Decoded(pixels, image, width=640, height=480, format="JPEG")
            segments.add(
                Result(index, sha256=hashes[index], size=90_000, image=decoded, embedding=vector)
            )
            index += 1
    segments.flush()
