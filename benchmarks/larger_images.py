"""Measure what images of a larger size cost in a store, beside JPEG files of the same pixels.

Photographs are cut into windows of many sizes at many places, each shrunk to the size by the area
mean (`bench extract --image-size` resizes by an antialiased bilinear filter), and written both as a
store writes them and as JPEG files of quality 95. Both are read from a warm page cache by one
thread, as the loop that trains reads.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
from PIL import Image

from featurestore._layout import create_pixels
from featurestore._place import LocalPlace

Pixels = npt.NDArray[np.uint8]
QUALITY = 95


def cut_windows(photos: list[Path], side: int, count: int, rng: np.random.Generator) -> Pixels:
    images = np.empty((count, side, side, 3), np.uint8)
    for row in range(count):
        with Image.open(photos[row % len(photos)]) as opened:
            photo = opened.convert("RGB")
        width, height = photo.size
        # A photograph smaller than the size is enlarged, whole.
        window = int(rng.integers(min(side, *photo.size), min(photo.size) + 1))
        left = int(rng.integers(0, width - window + 1))
        top = int(rng.integers(0, height - window + 1))
        box = (left, top, left + window, top + window)
        images[row] = np.asarray(photo.resize((side, side), Image.Resampling.BOX, box))
    return images


def middle(action: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Return the median seconds by the clock, and of all cores together."""
    clock, cores = [], []
    for _ in range(repeats):
        start, started = time.perf_counter(), time.process_time()
        action()
        clock.append(time.perf_counter() - start)
        cores.append(time.process_time() - started)
    return statistics.median(clock), statistics.median(cores)


def measure(images: Pixels, folder: Path, repeats: int) -> list[list[str]]:
    count, raw = len(images), images[0].nbytes
    array = create_pixels(LocalPlace(folder), "images", images.shape, "uint8")
    shard = array.shards[0]
    for start in range(0, count, shard):
        array[start : start + shard] = images[start : start + shard]
    stored = sum(path.stat().st_size for path in (folder / "images").rglob("*") if path.is_file())
    files = []
    for pixels in images:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=QUALITY)
        files.append(buffer.getvalue())
    errors = [np.asarray(Image.open(io.BytesIO(f))).astype(int) for f in files[:100]]
    off = np.abs(np.stack(errors) - images[:100].astype(int)).mean()

    opened: Any = zarr.open_array(folder / "images", mode="r")
    chunk = opened.chunks[0]

    def read_store() -> None:
        for start in range(0, count, shard):
            opened[start : start + shard]

    def read_jpegs() -> None:
        for file in files:
            np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))

    np.testing.assert_array_equal(opened[:shard], images[:shard])
    side = images.shape[1]
    rows = []
    for name, size, read in (
        (f"store, {chunk} rows a chunk, {shard} a shard", stored / count, read_store),
        (f"JPEG, quality {QUALITY}", sum(map(len, files)) / count, read_jpegs),
    ):
        seconds, cores = middle(read, repeats)
        exact = "0" if name.startswith("store") else f"{off:.2f}"
        cells = [str(side), name, f"{size / 1e3:.1f}", f"{size / raw:.2f}", exact]
        rows.append([*cells, f"{count / seconds:,.0f}", f"{count / cores:,.0f}"])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("photos", nargs="+", type=Path, help="JPEG files, or folders of them")
    parser.add_argument("--sizes", nargs="+", type=int, default=[160, 224])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    photos = []
    for path in args.photos:
        photos += sorted(path.rglob("*.jpg")) if path.is_dir() else [path]
    rng = np.random.default_rng(0)
    photos = [photos[i] for i in rng.permutation(len(photos))]
    print("| px | what | kB an image | size / raw | mean error | images/s | images/s and core |")
    print("|---:|---|---:|---:|---:|---:|---:|")
    for side in args.sizes:
        images = cut_windows(photos, side, args.count, rng)
        with tempfile.TemporaryDirectory() as work:
            for cells in measure(images, Path(work), args.repeats):
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
