"""How time and memory grow from 1,000 to 1,000,000 rows, and what a row costs.

    python benchmarks/growth.py                          all sizes
    python benchmarks/growth.py --up-to 1e5 --parts splitting "near-duplicates"
    python benchmarks/growth.py --constants              what a row or an image costs
    python benchmarks/growth.py --write                  the tables into docs/scaling.md

All data are synthetic: images of 1/f noise, embeddings in classes that overlap. A process of its
own for each measurement, warmed up with a few rows, so that imports and what a library does at its
first call count for nothing. What takes under two seconds is repeated, up to five times, and the
median counts.

Every measurement is kept in a file (--json) as soon as it is made; those that are there aren't made
again without --force. All of it takes an hour on 2 cores; a million rows need 14 GB of disk and as
much memory.
"""

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import _growth_data as data
import _table
import numpy as np

SIZES = (1_000, 10_000, 100_000, 1_000_000)
WARM_UP = 300  # rows
REPEATS, LONG_ENOUGH = 5, 2.0  # s in all, after which nothing is repeated
KEPT = _table.HERE.parent / "docs" / "growth.json"
DOCUMENT = _table.HERE.parent / "docs" / "scaling.md"
BATCH = 256
CACHE_BYTES = 128 << 20  # more than the caches of a processor's core
LANDMARKS, ROUNDS, ITERATIONS = 1024, 10, 20
LONG_EPOCH = 100_000  # images, after which half an epoch of a network is enough


class Clock:
    """Adds up the seconds spent in ``with`` blocks: only they are what is measured."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> Self:
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._start


def write_store(rows: int, folder: Path, clock: Clock) -> None:
    """Order the records, read what is staged, and assemble the store's files."""
    from featurestore._assemble import assemble_rows
    from featurestore._place import LocalPlace
    from featurestore._records import in_store_order
    from featurestore._segments import Segments
    from featurestore._select import Selection
    from featurestore._workers import ThisProcess

    records = data.records(rows)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    staged = folder.with_suffix(".staged")
    data.stage(staged, records)
    settings = {"keep": "majority", "image_sizes": [data.SIDE]}
    attributes = {
        "label_names": [f"label{n}" for n in range(data.CLASSES)],
        "settings": settings,
        "backbones": {"mobilenet": {"dims": data.DIMS}},
    }
    rng = np.random.default_rng(0)
    labels = rng.integers(0, data.CLASSES, rows)
    splits = rng.choice(3, rows, p=(0.8, 0.1, 0.1)).astype(np.uint8)
    with clock:
        records = in_store_order(records, 0)
        segments = Segments(LocalPlace(staged))
        outcomes = segments.read_outcomes(rows)
        selection = Selection(
            records=np.arange(rows),
            labels=labels,
            label_strength=np.eye(data.CLASSES, dtype=np.float32)[labels],
            splits=splits,
            kind=[""] * rows,
            detail=[""] * rows,
            label_of_record=labels,
            hashes=rng.integers(0, 2**63, rows, np.uint64),
            groups=np.arange(rows),
        )
        passes = {"mobilenet": (segments, outcomes)}
        place = LocalPlace(folder)
        assemble_rows(place, ThisProcess(), records, selection, passes, attributes)
    shutil.rmtree(staged)


def read_embeddings(rows: int, folder: Path, clock: Clock) -> None:
    """Read all embeddings from front to back."""
    read_in_order(opened(rows, folder, "embeddings/mobilenet"), clock)


def read_images(rows: int, folder: Path, clock: Clock) -> None:
    """Read all images from front to back."""
    read_in_order(opened(rows, folder, "images"), clock)


def read_in_order(array: Any, clock: Clock) -> None:
    empty_caches()
    with clock:
        for start in range(0, len(array), BATCH):
            array[start : start + BATCH]


def read_random(rows: int, folder: Path, clock: Clock) -> None:
    """Read all embeddings once in random order, 256 rows at a time."""
    array = opened(rows, folder, "embeddings/mobilenet")
    order = np.random.default_rng(0).permutation(rows)
    empty_caches()
    with clock:
        for start in range(0, rows, BATCH):
            array.take(order[start : start + BATCH])


def empty_caches() -> None:
    """Fill the processor's caches with something else: a small set would be read from them."""
    np.zeros(CACHE_BYTES, np.uint8).fill(1)


def opened(rows: int, folder: Path, name: str) -> Any:
    from featurestore import FeatureStore

    if not (folder / "zarr.json").is_file():
        write_store(rows, folder, Clock())
    for path in (folder / name / "c").rglob("*"):
        if path.is_file():
            path.read_bytes()  # into the page cache, from which all sizes are read
    return FeatureStore(folder).reader(name)


def split(rows: int, folder: Path, clock: Clock) -> None:
    """Deal out rows into splits; one in fifty is in a group with the row before."""
    from featurestore._split import assign_splits

    rng = np.random.default_rng(0)
    labels = rng.integers(0, data.CLASSES, rows).tolist()
    groups = np.cumsum(rng.random(rows) > data.COPIES).tolist()
    hashes = data.sha256_like(rows)
    with clock:
        assign_splits(labels, [""] * rows, hashes, groups, (80, 10, 10), 0)


def find_near_duplicates(rows: int, folder: Path, clock: Clock) -> None:
    """Compute hashes and layouts of all images, and find the groups."""
    from featurestore._near_duplicates import color_layouts, find_groups, perceptual_hashes

    hashes, layouts = [], []
    for images in data.image_blocks(rows):
        with clock:
            hashes.append(perceptual_hashes(images))
            layouts.append(color_layouts(images))
    with clock:
        find_groups(np.concatenate(hashes), np.concatenate(layouts))


def fit_mlp(rows: int, folder: Path, clock: Clock) -> None:
    """One epoch of the default network."""
    from classifiers import MLP

    fit(MLP(epochs=1), rows, clock)


def fit_pca_svm(rows: int, folder: Path, clock: Clock) -> None:
    """256 components, 1,024 landmarks and one C."""
    from classifiers import PCASVM

    fit(PCASVM(components=(256,), C=(10.0,), landmarks=LANDMARKS), rows, clock)


def fit_lightgbm(rows: int, folder: Path, clock: Clock) -> None:
    """10 rounds."""
    from classifiers import LightGBM

    fit(LightGBM(rounds=ROUNDS), rows, clock)


def fit_linear_probe(rows: int, folder: Path, clock: Clock) -> None:
    """A few steps with one penalty, the same relative to the rows at each size."""
    from classifiers import LinearProbe

    fit(LinearProbe(C=300 / rows, max_iter=ITERATIONS), rows, clock)


def fit(model: Any, rows: int, clock: Clock) -> None:
    X, y = data.embeddings(rows)
    with clock:
        model.fit(X, y)


def fit_resnet(rows: int, folder: Path, clock: Clock) -> None:
    """An epoch of ResNet-18, told from the second half of two, or of one where that is long.

    The first steps also compile the network.
    """
    from cnn import ResNet

    X, y = data.labelled_images(rows)
    epochs = 1 if rows > LONG_EPOCH else 2
    second_half: list[tuple[float, float]] = []  # (share done, seconds)

    def told(done: int, total: int, text: str) -> None:
        if 2 * done >= total:
            second_half.append((done / total, time.perf_counter()))

    ResNet(epochs=epochs).fit(X, y, progress=told)
    (begun, start), (ended, end) = second_half[0], second_half[-1]
    clock.seconds += (end - start) / (ended - begun) / epochs


Part = Callable[[int, Path, Clock], None]
PARTS: dict[str, Part] = {
    "writing a store": write_store,
    "reading embeddings in order": read_embeddings,
    "reading images in order": read_images,
    "reading embeddings at random": read_random,
    "splitting": split,
    "near-duplicates": find_near_duplicates,
    "fitting mlp": fit_mlp,
    "fitting pca-svm": fit_pca_svm,
    "fitting lightgbm": fit_lightgbm,
    "fitting linear-probe": fit_linear_probe,
    "fitting resnet": fit_resnet,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--up-to", type=float, default=SIZES[-1], metavar="ROWS")
    parser.add_argument("--parts", nargs="+", choices=tuple(PARTS), default=tuple(PARTS))
    parser.add_argument("--json", type=Path, default=KEPT, help=f"default: {KEPT.name} in docs/")
    parser.add_argument("--force", action="store_true", help="measure again what is there")
    parser.add_argument("--constants", action="store_true", help="measure and print only these")
    parser.add_argument("--write", action="store_true", help="measure nothing, write the document")
    parser.add_argument("--temp", type=Path, help="where stores are made")
    parser.add_argument("--as", dest="part", choices=tuple(PARTS), help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        print(json.dumps(measure(arguments.part, arguments.rows, arguments.temp)))
        return
    kept = json.loads(arguments.json.read_bytes()) if arguments.json.is_file() else {}
    if arguments.write:
        _table.put(DOCUMENT, "growth.py", in_words(kept))
        return
    kept["machine"] = _table.machine("numpy", "scipy", "zarr", "scikit-learn", "lightgbm", "keras")
    if arguments.constants:
        from _growth_constants import measure_constants, show_constants

        kept["constants"] = measure_constants()
        keep(arguments.json, kept)
        print(show_constants(kept))
        return
    sizes = [rows for rows in SIZES if rows <= arguments.up_to]
    with tempfile.TemporaryDirectory(dir=arguments.temp) as scratch:
        for rows in sizes:
            for part in arguments.parts:
                there = kept.setdefault("growth", {}).setdefault(part, {})
                done = "seconds" in there.get(str(rows), {}) and not arguments.force
                if done:
                    continue
                there[str(rows)] = in_process(part, rows, Path(scratch))
                keep(arguments.json, kept)
                print(f"{part}, {rows:,} rows: {in_line(there[str(rows)])}", flush=True)
            shutil.rmtree(Path(scratch) / str(rows), ignore_errors=True)
    print(show_growth(kept))


def keep(path: Path, kept: dict[str, Any]) -> None:
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def in_process(part: str, rows: int, scratch: Path) -> dict[str, Any]:
    """Measure in a process of its own; a failure, such as too little memory, is told as such."""
    command = [sys.executable, __file__, "--as", part, "--rows", str(rows), "--temp", str(scratch)]
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=True)
    except subprocess.CalledProcessError as error:
        return {"reason": _table.failure(error)}
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return found


def measure(part: str, rows: int, scratch: Path) -> dict[str, Any]:
    """Return the median, least and most seconds, and the process' peak memory in MB."""
    warnings.simplefilter("ignore")  # that few steps don't converge is meant
    run = PARTS[part]
    with tempfile.TemporaryDirectory(dir=scratch) as spare:
        run(WARM_UP, Path(spare) / "store", Clock())
    seconds: list[float] = []
    while len(seconds) < REPEATS and sum(seconds) < LONG_ENOUGH:
        clock = Clock()
        run(rows, scratch / str(rows), clock)
        seconds.append(clock.seconds)
    return {
        "seconds": statistics.median(seconds),
        "least": min(seconds),
        "greatest": max(seconds),
        "peak_mb": peak_megabytes(),
    }


def peak_megabytes() -> float:
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def exponent(found: dict[str, dict[str, Any]], what: str) -> float | None:
    """Return the slope of log ``what`` over log rows by least squares, or None for under two."""
    points = [(int(rows), value[what]) for rows, value in found.items() if what in value]
    if len(points) < 2:
        return None
    rows, values = np.array(points).T
    return float(np.polyfit(np.log(rows), np.log(values), 1)[0])


def in_line(found: dict[str, Any]) -> str:
    if "reason" in found:
        return str(found["reason"])
    return f"{_table.number(found['seconds'])} s, {found['peak_mb']:,.0f} MB"


def show_growth(kept: dict[str, Any]) -> str:
    """Return two tables with the exponents: seconds, and the processes' peak memory."""
    growth = kept.get("growth", {})
    seconds, memory = [], []
    for part, found in growth.items():
        slope = exponent(found, "seconds")
        seconds.append([part, *cells(found, "seconds"), "" if slope is None else f"{slope:.2f}"])
        slope, more = exponent(found, "peak_mb"), kilobytes_a_row(found)
        ends = ["" if slope is None else f"{slope:.2f}", "" if more is None else f"{more:.1f}"]
        memory.append([part, *cells(found, "peak_mb"), *ends])
    sizes = [f"{rows:,} rows" for rows in SIZES]
    return "\n\n".join(
        [
            _table.markdown(["seconds", *sizes, "exponent"], seconds),
            _table.markdown(["peak memory, MB", *sizes, "exponent", "kB a row"], memory),
        ]
    )


def cells(found: dict[str, dict[str, Any]], what: str) -> list[str]:
    values = [found.get(str(rows), {}) for rows in SIZES]
    return [_table.number(v[what]) if what in v else v.get("reason", "") for v in values]


def kilobytes_a_row(found: dict[str, dict[str, Any]]) -> float | None:
    """Return what a row more adds to the peak, between the two largest sizes, in kB."""
    rows = sorted(int(rows) for rows, value in found.items() if "peak_mb" in value)[-2:]
    if len(rows) < 2:
        return None
    less, more = (float(found[str(count)]["peak_mb"]) for count in rows)
    return 1000 * (more - less) / (rows[1] - rows[0])


def in_words(kept: dict[str, Any]) -> str:
    """Return what stands in docs/scaling.md between the marks."""
    from _growth_constants import show_constants, show_plan

    machine = ", ".join(f"{name}: {value}" for name, value in kept["machine"].items())
    parts = [machine, show_growth(kept), show_constants(kept), show_plan(kept)]
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
