"""How quick `bench explore` is at 100,000 images: neighbours, pages and filters.

    python benchmarks/explore.py

Embeddings, labels and predictions are random. Prints the median of 20 queries of each kind.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import cycle

import numpy as np
from tabulate import tabulate

from bench._memory import PeakMemory
from bench._predictions import Predictions
from bench.explore._index import Filters, Index
from bench.explore._neighbours import Neighbours
from bench.explore._told import Told
from featurestore._engines import usable_cores

QUERIES, MODELS, LABELS, PAGE, NEAREST = 20, 7, 8, 60, 12


class Generated:
    """Embeddings as a store gives them: a part at a time."""

    def __init__(self, rows: int, dims: int) -> None:
        self.shape = (rows, dims)

    def __getitem__(self, part: slice) -> np.ndarray:
        start, stop, _ = part.indices(self.shape[0])
        return np.random.default_rng(start).random((stop - start, self.shape[1]), np.float32)


def median_ms(query: Callable[[int], object], over: Sequence[int]) -> list[str]:
    """Return median, least and most milliseconds of some queries."""
    taken = []
    for number, _ in zip(cycle(over), range(QUERIES), strict=False):
        start = time.perf_counter()
        query(number)
        taken.append(1000 * (time.perf_counter() - start))
    return [f"{value:.2f}" for value in (statistics.median(taken), min(taken), max(taken))]


def make_index(rows: int) -> Index:
    rng = np.random.default_rng(0)
    labels, splits = rng.integers(0, LABELS, rows), rng.choice(3, rows, p=(0.8, 0.1, 0.1))
    told = []
    for number in range(MODELS):
        here = np.flatnonzero(splits)
        shares = rng.random((len(here), LABELS)).astype(np.float32) + np.eye(LABELS)[labels[here]]
        names = np.full(len(here), "x")
        found = Predictions(names, names, here, labels[here], shares.astype(np.float32))
        told.append(Told.spread(f"m{number}", f"m{number}", {}, found, rows))
    return Index(labels, splits.astype(np.uint8), told)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dims", type=int, default=1024)
    given = parser.parse_args()
    rng = np.random.default_rng(1)
    peak = PeakMemory()
    before = peak.megabytes

    neighbours = Neighbours(Generated(given.rows, given.dims))
    start = time.perf_counter()
    neighbours.of_row(0, NEAREST)
    first = time.perf_counter() - start
    peak.sample()
    rows = rng.integers(0, given.rows, QUERIES).tolist()
    lines = [
        [f"{NEAREST} nearest neighbours", *median_ms(lambda r: neighbours.of_row(r, NEAREST), rows)]
    ]

    index = make_index(given.rows)
    pages = rng.integers(1, given.rows // PAGE, QUERIES).tolist()
    lines.append(
        ["a page of all images", *median_ms(lambda p: index.page(Filters(), p, PAGE), pages)]
    )
    # Each time another selection, so that none is remembered.
    asked = [
        Filters(label, split, model, None, "wrong", "differ", "surest")
        for model in range(MODELS)
        for label in range(LABELS)
        for split in (1, 2)
    ]
    lines.append(
        [
            "the first page of five filters, surest first",
            *median_ms(lambda i: index.page(asked[i], 1, PAGE), range(QUERIES)),
        ]
    )
    lines.append(
        [
            "the first page of all, most different answers first",
            *median_ms(
                lambda i: index.page(
                    Filters(model=i % MODELS, label=i % LABELS, sort="answers"), 1, PAGE
                ),
                range(QUERIES),
            ),
        ]
    )
    print(
        f"{given.rows:,} rows of {given.dims} numbers, {MODELS} models; {usable_cores()} cores, "
        f"{platform.machine()}, Python {platform.python_version()}, NumPy {np.__version__}"
    )
    print(
        tabulate(
            lines, ["query", "median ms", "least", "most"], disable_numparse=True, tablefmt="github"
        )
    )
    memory = peak.megabytes - before
    print(f"making and scaling the embeddings, once: {first:.1f} s; memory: {memory:,.0f} MB")


if __name__ == "__main__":
    main()
