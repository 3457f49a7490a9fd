"""Do harm to extractions and runs in all ways that come to mind, and count what is lost.

    python benchmarks/faults.py                              prints the table
    python benchmarks/faults.py --out docs/reliability.md    and puts it there
    python benchmarks/faults.py --only kills --kills 20

Real processes and real files in a temporary folder. Small disks that can be full or read-only are
mounted, which takes root; without, those trials say that they were left out. Ends with status 1 if
anything was lost.
"""

import argparse
import importlib.metadata
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tabulate import tabulate

sys.path.append(sys.path.pop(0))  # scripts beside this one are called like packages

from _faults_disk import can_mount, damaged, disk_full, newer, read_only
from _faults_hostile import hostile
from _faults_process import clocks, kills, stops, two_at_once
from _faults_world import Row, World

BEGIN, END = "<!-- made by benchmarks/faults.py -->\n", "<!-- end -->\n"
VERSIONS = ("numpy", "zarr", "tensorflow", "ai-edge-litert", "pyarrow", "h5py", "pillow")
Trials = Callable[[World], list[Row]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="of the moments and the bytes")
    parser.add_argument("--out", type=Path, metavar="FILE", help="put the table between its marks")
    trials: dict[str, Trials] = {
        "kills": lambda world: [kills(world, options.kills)],
        "stops": stops,
        "two": lambda world: [two_at_once(world)],
        "clocks": clocks,
        "full": lambda world: _mounted(world, "a disk that is full", disk_full),
        "readonly": lambda world: _mounted(world, "a read-only disk", read_only),
        "damaged": damaged,
        "newer": newer,
        "hostile": hostile,
    }
    parser.add_argument("--only", nargs="*", choices=trials, default=list(trials))
    options = parser.parse_args()
    # Shells start what runs in the background with SIGINT ignored, and children would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), options.seed)
        for name in options.only:
            start = time.monotonic()
            rows += trials[name](world)
            print(f"{name}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
            for row in rows:
                for lost in row.lost:
                    print(f"  {row.tried}: {lost}", file=sys.stderr, flush=True)
    text = show(rows, options.seed)
    print(text)
    if options.out:
        put(options.out, text)
    raise SystemExit(any(row.lost for row in rows))


def show(rows: list[Row], seed: int) -> str:
    """Return the table and what it was made on, as Markdown."""
    cells = [
        [row.tried, row.times, len(row.lost), "; ".join(row.lost)[:300] or row.ended]
        for row in rows
    ]
    table = tabulate(cells, ["what was tried", "times", "lost", "how it ended"], tablefmt="github")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in VERSIONS)
    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    machine = f"{system}, Python {platform.python_version()}"
    return f"{machine}; {versions}. Random moments and bytes from seed {seed}.\n\n{table}\n"


def put(path: Path, text: str) -> None:
    """Put the table between its marks in a file."""
    before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{path}: has no place for the table")
    path.write_text(f"{before}{BEGIN}{text}{END}{after}", encoding="utf-8")


def _mounted(world: World, what: str, trial: Trials) -> list[Row]:
    if can_mount():
        return trial(world)
    return [Row(what, 0, ended="not tried: mounting a disk takes root")]


if __name__ == "__main__":
    main()
