"""Orderings in which images with like colour layouts lie close to each other.

Comparing each image with the next few in such an ordering takes time in proportion to the number of
images, whatever they look like. One ordering separates many pairs that are alike; several dozen
independent ones hardly any: ``docs/near-duplicates.md`` has the measurements.

An ordering sorts by the signs of random projections of the layouts ("random hyperplane" hashing,
Charikar 2002, "Similarity estimation techniques from rounding algorithms"). One sign differs with
a probability of the angle between two layouts / 180 degrees, so what is alike shares many leading
signs. How many are enough to tell strangers apart depends on how crowded a place is; sorting needs
no answer to that, where buckets of a fixed number of signs would overflow in some places and be
empty in others.
"""

from collections.abc import Iterator
from concurrent.futures import Executor

import numpy as np
import numpy.typing as npt

ORDERINGS = 64
REACH = 128  # neighbours on each side that an image is compared with
_BITS = 32  # signs an ordering sorts by
_AT_ONCE = 8  # orderings projected on together: a wider matrix product is a faster one
_ROWS = 4096  # projected in one go
_SEED = 0


def orderings(
    layouts: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64], pool: Executor
) -> Iterator[tuple[npt.NDArray[np.int64], int]]:
    """Yield orderings of ``rows``, int64 (k,), and how far to compare in each.

    Where comparing all pairs is no more work, the one ordering is ``rows`` and all are in reach.

    Parameters
    ----------
    layouts : uint8 (n, cells)
    rows : int64 (k,), ascending
        Which of the layouts to order.
    pool : Executor
        Whose threads share the projections.
    """
    if len(rows) <= 2 * ORDERINGS * REACH:
        yield rows, max(len(rows) - 1, 0)
        return
    for directions in _directions(layouts.shape[1]):
        for signs in _signs(layouts, rows, directions, pool):
            # One sort of plain numbers is faster than an argsort, and has no ties.
            numbered = signs.astype(np.uint64) << np.uint64(32)
            numbered |= np.arange(len(rows), dtype=np.uint64)
            numbered.sort()
            yield rows[(numbered & np.uint64(0xFFFF_FFFF)).astype(np.int64)], REACH


def _directions(cells: int) -> Iterator[npt.NDArray[np.float32]]:
    """Yield float32 (cells, 8 x 32) of whole numbers, each column adding up to 0.

    Products of whole numbers below 2 ** 24 are exact in float32, in whatever order a library adds
    them up. So signs depend neither on it nor on the number of threads. A column that adds up to
    0 takes the mean off a layout, as its correlation does.
    """
    rng = np.random.default_rng(_SEED)
    for _ in range(ORDERINGS // _AT_ONCE):
        drawn = np.rint(100 * rng.standard_normal((cells, _AT_ONCE * _BITS)))
        share, rest = np.divmod(drawn.sum(axis=0), cells)
        drawn -= share + (np.arange(cells)[:, None] < rest)
        yield drawn.astype(np.float32)


def _signs(
    layouts: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.int64],
    directions: npt.NDArray[np.float32],
    pool: Executor,
) -> npt.NDArray[np.uint32]:
    """Return the signs of the projections, a bit each, uint32 (8, k)."""
    signs = np.empty((_AT_ONCE, len(rows)), np.uint32)

    def project(start: int) -> None:
        part = slice(start, start + _ROWS)
        above = layouts[rows[part]].astype(np.float32) @ directions > 0
        signs[:, part] = np.packbits(above, axis=1).view(">u4").T

    for _ in pool.map(project, range(0, len(rows), _ROWS)):
        pass
    return signs
