"""Extraction by the workers of a Dask cluster on this machine, against one process.

    python benchmarks/scheduler.py                    about 5 minutes on 2 cores

Both make a store of the same JPEGs, by turns. "embedding" is from the first record to the last, and
"whole" also starts the cluster or the engine, finds near-duplicates and writes the store. The files
are the synthetic sample's JPEGs, or those of a folder given with --images.
"""

import argparse
import tempfile
import time
from pathlib import Path

import _table
from extract import write_files

import featurestore as fs
from featurestore._engines import usable_cores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, help="folder of class folders of images")
    parser.add_argument("--count", type=int, default=1600)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=usable_cores())
    parser.add_argument("--json", type=Path, help="keep the comparison in a file")
    arguments = parser.parse_args()
    schedulers = {"Dask": f"local:{arguments.workers}", "one process": None}
    speeds: dict[str, list[tuple[float, float]]] = {name: [] for name in schedulers}
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        write_files(scratch / "files", arguments.images, arguments.count)
        source = fs.read_source(str(scratch / "files"))
        for number in range(arguments.rounds):
            for which, scheduler in schedulers.items():
                store = scratch / f"{which}-{number}.zarr"
                speeds[which].append(measure(source, store, scheduler))
    what = "embedding", "whole extraction"
    peer = f"one process of {usable_cores()} threads"
    rows = [
        _table.compare(
            f"{text}, {arguments.workers} Dask workers here",
            peer,
            [speed[part] for speed in speeds["Dask"]],
            [speed[part] for speed in speeds["one process"]],
            "images/s",
        )
        for part, text in enumerate(what)
    ]
    _table.report(rows, arguments.json)


def measure(source: fs.Source, store: Path, scheduler: str | None) -> tuple[float, float]:
    """Return images a second of the embedding alone, and of all."""
    begun: list[float] = []
    ended = 0.0

    def begin(total: int, done: int) -> None:
        begun.append(time.perf_counter())

    def step(kind: str) -> None:
        nonlocal ended
        ended = time.perf_counter()

    start = time.perf_counter()
    fs.extract(source, store, progress=fs.Progress(begin=begin, step=step), scheduler=scheduler)
    whole = time.perf_counter() - start
    count = len(source.records)
    return count / (ended - begun[0]), count / whole


if __name__ == "__main__":  # the workers are processes that import this file
    main()
