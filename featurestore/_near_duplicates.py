"""Near-duplicates: the same photograph, re-encoded, resized or slightly cropped.

Two images are near-duplicates when their perceptual hashes differ in few bits *and* their colours
lie alike. The hash alone, loose enough to survive a crop, also matches strangers: of 32 million
pairs of 8,000 photographs of CIFAR-10, 2,311 differed in at most 14 bits, and 12 of those, copies
to the eye but for one, were also alike in colour. ``docs/near-duplicates.md`` has the measurements.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from featurestore._engines import usable_cores

HASH_SIDE = 8  # lowest frequencies in each direction: 64 bits
LAYOUT_SIDE = 8  # cells in each direction of the colour layout
MAX_DISTANCE = 14  # bits of 64; unrelated images differ in 32 on average
MIN_CORRELATION = 0.95  # of the colour layouts
_TILE = 256, 8192  # pairs compared in one go; their 16 MB stay in the cache


def perceptual_hashes(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """Return the hashes, uint64 (n,), of uint8 (n, 32, 32, 3).

    This is the "pHash" of Zauner 2010, "Implementation and benchmarking of perceptual image hash
    functions": the signs of the lowest frequencies of the gray image's cosine transform, relative
    to their median. The constant term is left out of that median.
    """
    from scipy.fft import dctn

    gray = images @ np.array([0.299, 0.587, 0.114], np.float32)  # (n, 32, 32)
    low = dctn(gray, axes=(1, 2))[:, :HASH_SIDE, :HASH_SIDE].reshape(
        len(images), HASH_SIDE * HASH_SIDE
    )
    bits = low > np.median(low[:, 1:], axis=1, keepdims=True)
    packed: npt.NDArray[np.uint64] = np.packbits(bits, axis=1).view(">u8").ravel()
    return packed.astype(np.uint64)


def color_layouts(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the mean colours of 8 x 8 cells, uint8 (n, 192), of uint8 (n, 32, 32, 3)."""
    cell = images.shape[1] // LAYOUT_SIDE
    cells = images.reshape(len(images), LAYOUT_SIDE, cell, LAYOUT_SIDE, cell, 3)
    means: npt.NDArray[np.uint8] = np.rint(cells.mean((2, 4))).astype(np.uint8)
    return means.reshape(len(images), LAYOUT_SIDE * LAYOUT_SIDE * 3)


def find_groups(
    hashes: npt.NDArray[np.uint64], layouts: npt.NDArray[np.uint8]
) -> npt.NDArray[np.int64]:
    """Return a group number for each image, int64 (n,); near-duplicates share one.

    All pairs are compared, on all cores: 100,000 images take about a minute on two.

    Parameters
    ----------
    hashes : uint64 (n,)
    layouts : uint8 (n, 192)

    Returns
    -------
    int64 (n,), numbered from 0 in order of first appearance.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = len(hashes)
    pairs = [np.empty((2, 0), np.int64)]
    with ThreadPoolExecutor(usable_cores()) as pool:
        pairs += pool.map(lambda tile: _near_pairs(hashes, layouts, *tile), _tiles(count))
    first, second = np.concatenate(pairs, axis=1)
    graph = coo_array((np.ones(len(first), bool), (first, second)), shape=(count, count))
    _, groups = connected_components(graph, directed=False)
    # Numbers in order of appearance don't depend on how the graph was walked.
    _, first_rows, groups = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first_rows))[groups].astype(np.int64)


def _tiles(count: int) -> Iterator[tuple[int, int]]:
    for top in range(0, count, _TILE[0]):
        for left in range(top - top % _TILE[1], count, _TILE[1]):
            yield top, left


_buffers = threading.local()


def _near_pairs(
    hashes: npt.NDArray[np.uint64], layouts: npt.NDArray[np.uint8], top: int, left: int
) -> npt.NDArray[np.int64]:
    """Return the near-duplicates of one tile, int64 (2, pairs), each pair once."""
    a, b = hashes[top : top + _TILE[0]], hashes[left : left + _TILE[1]]
    if not hasattr(_buffers, "xor"):
        _buffers.xor, _buffers.bits = np.empty(_TILE, np.uint64), np.empty(_TILE, np.uint8)
    xor, bits = _buffers.xor[: len(a), : len(b)], _buffers.bits[: len(a), : len(b)]
    np.bitwise_xor(a[:, None], b, out=xor)
    np.bitwise_count(xor, out=bits)
    found = np.argwhere(bits <= MAX_DISTANCE) + np.array([top, left])
    found = found[found[:, 0] < found[:, 1]]
    alike = [
        _correlation(layouts[part[:, 0]], layouts[part[:, 1]]) >= MIN_CORRELATION
        for part in np.array_split(found, len(found) // 4096 + 1)
    ]
    pairs: npt.NDArray[np.int64] = found[np.concatenate(alike)].T
    return pairs


def _correlation(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return the correlation, float32 (k,), of uint8 (k, 192) and uint8 (k, 192), row by row."""
    x, y = (v - v.mean(axis=1, keepdims=True, dtype=np.float32) for v in (a, b))
    # A plain surface has no layout to compare: the 1 makes it unlike everything.
    norms = np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1)) + 1
    correlation: npt.NDArray[np.float32] = (x * y).sum(axis=1) / norms
    return correlation
