"""Near-duplicates: the same photograph, re-encoded, resized or slightly cropped.

Two images are near-duplicates when their perceptual hashes differ in few bits *and* their colours
lie alike. The hash alone, loose enough to survive a crop, also matches strangers: of 32 million
pairs of 8,000 photographs of CIFAR-10, 2,311 differed in at most 14 bits, and 12 of those, copies
to the eye but for one, were also alike in colour. ``docs/near-duplicates.md`` has the measurements.
"""

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from featurestore._engines import usable_cores
from featurestore._orderings import orderings

HASH_SIDE = 8  # lowest frequencies in each direction: 64 bits
LAYOUT_SIDE = 8  # cells in each direction of the colour layout
MAX_DISTANCE = 14  # bits of 64; unrelated images differ in 32 on average
MIN_CORRELATION = 0.95  # of the colour layouts
_BLOCK = 1 << 16  # hashes compared in one go; they stay in the cache
_STEPS = 64  # so many times by one task
_TOGETHER = 4096  # layouts correlated in one go


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

    Groups are the connected components of the near-duplicates found. Up to 16,384 different images
    all pairs are compared. Of more, each is compared with its neighbours in 64 orderings by colour
    layout: time and memory then grow in proportion to their number. What is found depends on the
    images alone, not on the number of cores.

    Parameters
    ----------
    hashes : uint64 (n,)
    layouts : uint8 (n, 192)

    Returns
    -------
    int64 (n,), numbered from 0 in order of first appearance.
    """
    from threadpoolctl import threadpool_limits

    layouts = np.ascontiguousarray(layouts)
    # Each thread of the pool multiplies matrices of its own.
    with ThreadPoolExecutor(usable_cores()) as pool, threadpool_limits(1, user_api="blas"):
        faint = _faint(layouts, pool)
        labels = _first_copies(hashes, layouts, faint)
        rows = np.flatnonzero(labels == np.arange(len(labels)))
        for order, reach in orderings(layouts, rows, pool):
            labels = _join_neighbours(labels, order, reach, hashes, layouts, faint, pool)
    # A label is the first row of its group, so that they are in order of appearance.
    groups: npt.NDArray[np.int64] = np.unique(labels, return_inverse=True)[1]
    return groups.astype(np.int64)


def _faint(layouts: npt.NDArray[np.uint8], pool: Executor) -> npt.NDArray[np.bool_]:
    """Return which layouts are so plain that they aren't even like themselves, bool (n,)."""
    parts = np.array_split(layouts, len(layouts) // _TOGETHER + 1)
    faint = pool.map(lambda part: _correlation(part, part) < MIN_CORRELATION, parts)
    return np.concatenate(list(faint))


def _first_copies(
    hashes: npt.NDArray[np.uint64],
    layouts: npt.NDArray[np.uint8],
    faint: npt.NDArray[np.bool_],
) -> npt.NDArray[np.int64]:
    """Return for each row the first one with the same hash and layout, int64 (n,).

    That is the row itself if its layout is faint.
    """
    multipliers = np.random.default_rng(0).integers(1, 2**63, layouts.shape[1] // 8, np.uint64)
    digests = hashes + layouts.view(np.uint64) @ (2 * multipliers + 1)
    _, firsts, groups = np.unique(digests, return_index=True, return_inverse=True)
    found = np.where(faint, np.arange(len(hashes)), firsts[groups])
    others = np.flatnonzero(found != np.arange(len(found)))
    for part in np.array_split(others, len(others) // _TOGETHER + 1):
        same = (layouts[part] == layouts[found[part]]).all(axis=1)
        different = part[~(same & (hashes[part] == hashes[found[part]]))]
        found[different] = different  # a digest shared by chance
    return found


def _join_neighbours(
    labels: npt.NDArray[np.int64],
    order: npt.NDArray[np.int64],
    reach: int,
    hashes: npt.NDArray[np.uint64],
    layouts: npt.NDArray[np.uint8],
    faint: npt.NDArray[np.bool_],
    pool: Executor,
) -> npt.NDArray[np.int64]:
    """Return the labels, int64 (n,), after joining what is alike within reach in an ordering."""
    sorted_hashes = hashes[order]

    def sorted_marks() -> npt.NDArray[np.int64]:
        # Two faint layouts are never alike: one mark for all keeps them from being compared.
        return np.where(faint, -1, labels)[order]

    def compare(task: tuple[int, range]) -> list[npt.NDArray[np.int64]]:
        near = []
        for places in _near_hashes(sorted_hashes, marks, *task):
            pairs = order[places]
            alike = _correlation(layouts[pairs[0]], layouts[pairs[1]]) >= MIN_CORRELATION
            near.append(pairs[:, alike])
        return near

    marks = sorted_marks()
    # From near to far: once neighbours are joined, a crowd of copies leaves nothing to compare.
    low = 1
    while low <= reach:
        high = min(2 * low, reach + 1)
        tasks = [
            (start, range(steps, min(steps + _STEPS, high)))
            for start in range(0, len(order) - low, _BLOCK)
            for steps in range(low, high, _STEPS)
        ]
        pairs = [part for near in pool.map(compare, tasks) for part in near if part.size]
        if pairs:
            labels = _join(labels, np.concatenate(pairs, axis=1))
            marks = sorted_marks()
        low = high
    return labels


def _near_hashes(
    hashes: npt.NDArray[np.uint64], marks: npt.NDArray[np.int64], start: int, steps: range
) -> Iterator[npt.NDArray[np.int64]]:
    """Yield places, int64 (2, k), some steps apart, of near hashes with different marks.

    The first place of each pair lies in the block that begins at ``start``.
    """
    xor, bits = np.empty(_BLOCK, np.uint64), np.empty(_BLOCK, np.uint8)
    waiting = np.empty((2, 0), np.int64)
    for step in steps:
        size = max(min(_BLOCK, len(hashes) - step - start), 0)
        first, second = hashes[start : start + size], hashes[start + step : start + step + size]
        np.bitwise_xor(first, second, out=xor[:size])
        np.bitwise_count(xor[:size], out=bits[:size])
        places = np.flatnonzero(bits[:size] <= MAX_DISTANCE) + start
        places = places[marks[places] != marks[places + step]]
        waiting = np.concatenate([waiting, [places, places + step]], axis=1)
        while waiting.shape[1] >= _TOGETHER:
            yield waiting[:, :_TOGETHER]
            waiting = waiting[:, _TOGETHER:]
    yield waiting


def _join(labels: npt.NDArray[np.int64], pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the labels, int64 (n,), with the groups of each pair, int64 (2, k), made one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    old, ends = np.unique(labels[pairs], return_inverse=True)
    first, second = ends.reshape(pairs.shape)
    graph = coo_array((np.ones(len(first), bool), (first, second)), shape=(len(old), len(old)))
    _, components = connected_components(graph, directed=False)
    _, firsts = np.unique(components, return_index=True)
    new = np.arange(len(labels))
    new[old] = old[firsts[components]]  # the least, as ``old`` ascends
    joined: npt.NDArray[np.int64] = new[labels]
    return joined


def _correlation(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return the correlation, float32 (k,), of uint8 (k, 192) and uint8 (k, 192), row by row."""
    x, y = (v - v.mean(axis=1, keepdims=True, dtype=np.float32) for v in (a, b))
    # A plain surface has no layout to compare: the 1 makes it unlike everything.
    norms = np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1)) + 1
    correlation: npt.NDArray[np.float32] = (x * y).sum(axis=1) / norms
    return correlation
