"""Measure zarr v3 storage layouts (codec x inner chunk x shard) against an npy memmap.

Builds an image array and an embedding array, writes each under every layout of the grid,
reads it back in the three ways the store is used (sequential epoch, random batches, whole
array) and prints one Markdown table per array. All reads are from a warm page cache. Every
read is timed next to the same read on a memmap, so the ratios survive a noisy machine better
than the absolute figures do.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
from PIL import Image
from zarr.codecs import BloscCodec, TransposeCodec, ZstdCodec

Array = npt.NDArray[Any]
CHUNK_ROWS = (16, 64, 256, 1024)
SHARD_ROWS = (1024, 4096)
BATCH_ROWS = 128
SIZE = 32
SHUFFLE_NAMES = {"noshuffle": "no", "shuffle": "byte", "bitshuffle": "bit"}
PLANAR = TransposeCodec(order=(0, 3, 1, 2))  # stores each image as three colour planes


@dataclass(frozen=True)
class Codec:
    name: str
    compressors: tuple[Any, ...] = ()
    filters: tuple[Any, ...] = ()


def blosc(cname: Any, shuffle: Any, itemsize: int) -> BloscCodec:
    return BloscCodec(cname=cname, clevel=5, shuffle=shuffle, typesize=itemsize)


def codec_grid(kind: str, itemsize: int) -> Iterator[Codec]:
    yield Codec("none")
    for level in (1, 3, 5):
        yield Codec(f"zstd {level}", (ZstdCodec(level=level),))
    # Byte shuffle moves nothing when an item is a single byte.
    shuffles = ["noshuffle", "bitshuffle"] if itemsize == 1 else list(SHUFFLE_NAMES)
    for cname in ("lz4", "zstd"):
        for shuffle in shuffles:
            name = f"blosc {cname} 5 {SHUFFLE_NAMES[shuffle]}"
            yield Codec(name, (blosc(cname, shuffle, itemsize),))
    if kind == "images":
        # No delta variant: the only one (numcodecs.delta) is outside the zarr v3 specification
        # and zarr warns about it each time it is written or read.
        yield Codec("planar, zstd 3", (ZstdCodec(level=3),), (PLANAR,))
        bits = blosc("zstd", "bitshuffle", itemsize)
        yield Codec("planar, blosc zstd 5 bit", (bits,), (PLANAR,))


def load_images(folder: Path, rng: np.random.Generator) -> Array:
    """All JPEGs below the folder in random order; square them only if they are not 32x32."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in {".jpg", ".jpeg"})
    if not paths:
        raise SystemExit(f"no JPEG files below {folder}")
    images = np.empty((len(paths), SIZE, SIZE, 3), np.uint8)
    for row, source in enumerate(rng.permutation(len(paths))):
        with Image.open(paths[source]) as image:
            rgb = image.convert("RGB")
            same = rgb.size == (SIZE, SIZE)
            images[row] = rgb if same else rgb.resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    return images


def smooth_images(count: int, rng: np.random.Generator) -> Array:
    """A few low-resolution colours blown up to full size, plus sensor-like noise."""
    coarse = rng.integers(0, 256, (count, 6, 6, 3), dtype=np.uint8)
    size = (SIZE, SIZE)
    big = [np.asarray(Image.fromarray(c).resize(size, Image.Resampling.BICUBIC)) for c in coarse]
    noise = rng.normal(0, 3, (count, *size, 3))
    return np.clip(np.stack(big) + noise, 0, 255).astype(np.uint8)


def augment(images: Array, rows: int, rng: np.random.Generator) -> Array:
    """Extend to `rows` with mirrored and shifted copies, so no two rows are the same bytes."""
    out = [images[:rows]]
    while sum(map(len, out)) < rows:
        copies = images[rng.permutation(len(images))].copy()
        flip = rng.random(len(copies)) < 0.5
        copies[flip] = copies[flip, :, ::-1]
        for row, shift in enumerate(rng.integers(1, 5, (len(copies), 2))):
            # Rolled, not padded: repeated edge pixels would make the copies compress better.
            copies[row] = np.roll(copies[row], shift, axis=(0, 1))
        out.append(copies)
    return np.concatenate(out)[:rows]


def embed(images: Array, model: Path, workers: int = 2) -> Array:
    from ai_edge_litert.interpreter import Interpreter

    out = np.empty((len(images), 1024), np.float32)

    def work(rows: Array) -> None:  # one interpreter each: they are not safe to share
        net = Interpreter(model_path=str(model), num_threads=1)
        net.allocate_tensors()
        source, result = net.get_input_details()[0], net.get_output_details()[0]
        size = (int(source["shape"][2]), int(source["shape"][1]))
        for row in rows:
            image = Image.fromarray(images[row]).resize(size, Image.Resampling.BILINEAR)
            net.set_tensor(source["index"], np.asarray(image)[None])
            net.invoke()
            out[row] = net.get_tensor(result["index"])[0]

    parts = np.array_split(np.arange(len(images)), workers)
    threads = [threading.Thread(target=work, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return out


def pooled_like(rows: int, rng: np.random.Generator) -> Array:
    """Non-negative and skewed with about a fifth exact zeros, as pooled ReLU6 features are."""
    values = rng.lognormal(-1.0, 1.3, (rows, 1024)) - 0.12
    return np.clip(values, 0, 6).astype(np.float32)


def timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def write(path: Path, data: Array, codec: Codec, chunk: int, shard: int) -> zarr.Array:
    tail = data.shape[1:]
    array = zarr.create_array(
        path, shape=data.shape, dtype=data.dtype, chunks=(chunk, *tail), shards=(shard, *tail),
        compressors=codec.compressors or None, filters=codec.filters or None, zarr_format=3,
    )  # fmt: skip
    for start in range(0, len(data), shard):
        array[start : start + shard] = data[start : start + shard]
    return array


def read_blocks(source: Any, block: int) -> None:
    for start in range(0, source.shape[0], block):
        block_rows = source[start : start + block]
        if isinstance(source, np.memmap):
            np.array(block_rows)  # a slice of a memmap has read nothing yet


def read_batches(source: Any, batches: list[Array]) -> None:
    for batch in batches:
        source[batch]


def measure(
    data: Array, codec: Codec, chunk: int, shard: int, mem: Array, work: Path, repeats: int
) -> list[str]:
    rows, raw = len(data), data.nbytes
    rng = np.random.default_rng(7)  # the same batches for every layout
    batches = [rng.choice(rows, BATCH_ROWS, replace=False) for _ in range(4)]
    ordered = [np.sort(batch) for batch in batches]
    path = work / "layout.zarr"
    write_seconds = []
    for _ in range(2):
        shutil.rmtree(path, ignore_errors=True)
        write_seconds.append(timed(lambda: write(path, data, codec, chunk, shard)))
    array = zarr.open_array(path, mode="r")
    if not np.array_equal(array[:], data):
        raise SystemExit(f"{codec.name} did not read back what was written")
    stored = sum(f.stat().st_size for f in path.rglob("*") if f.is_file())
    pick = array.oindex
    reads: list[tuple[float, Callable[[], object], Callable[[], object]]] = [
        (raw / 1e6, lambda: read_blocks(array, shard), lambda: read_blocks(mem, shard)),
        (raw / 1e6, lambda: array[:], lambda: np.array(mem)),
        (512, lambda: read_batches(pick, batches), lambda: read_batches(mem, batches)),
        (512, lambda: read_batches(pick, ordered), lambda: read_batches(mem, ordered)),
    ]
    cells = [codec.name, f"{chunk}", f"{shard}", f"{stored / raw:.3f}"]
    cells.append(f"{raw / 1e6 / min(write_seconds):.0f}")
    for amount, from_zarr, from_memmap in reads:
        pairs = [(timed(from_zarr), timed(from_memmap)) for _ in range(repeats)]
        ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
        cells += [f"{amount / ours:,.0f}", f"{theirs / ours:.3f}"]
    cells.append(f"{-(-100_000 // shard) + 1}")  # the shards and one zarr.json
    shutil.rmtree(path)
    return cells


HEADER = (
    "codec", "chunk rows", "shard rows", "size / raw", "write MB/s", "seq MB/s", "x memmap",
    "load all MB/s", "x memmap", "random rows/s", "x memmap", "sorted random rows/s", "x memmap",
    "files per 100k rows",
)  # fmt: skip


def table(kind: str, data: Array, args: argparse.Namespace, work: Path) -> Iterator[str]:
    np.save(work / "plain.npy", data)
    mem = np.load(work / "plain.npy", mmap_mode="r")
    yield "| " + " | ".join(HEADER) + " |"
    yield "|---" + "|---:" * (len(HEADER) - 1) + "|"
    for codec in codec_grid(kind, data.dtype.itemsize):
        if args.only and args.only not in codec.name:
            continue
        for shard in SHARD_ROWS:
            for chunk in CHUNK_ROWS:
                cells = measure(data, codec, chunk, shard, mem, work, args.repeats)
                yield "| " + " | ".join(cells) + " |"


def build(args: argparse.Namespace) -> Iterator[tuple[str, str, Array]]:
    """The arrays to measure, each with a sentence that says what it is made of."""
    rng = np.random.default_rng(args.seed)
    if args.images_from:
        images = load_images(args.images_from, rng)
        about = f"{min(len(images), args.rows)} distinct JPEGs"
        about += ", the rest flipped and shifted copies" if len(images) < args.rows else ""
    else:
        images, about = smooth_images(args.rows, rng), "synthetic: smooth colours and noise"
    if args.array in ("images", "both"):
        yield "images", about, augment(images, args.rows, rng)
    if args.array in ("embeddings", "both"):
        if args.images_from and args.tflite:
            real = embed(images[: args.embed_rows], args.tflite)
            about = f"{len(real)} real embeddings, repeated (chunks compress on their own)"
        else:
            real, about = pooled_like(args.rows, rng), "synthetic: non-negative and skewed"
        data = real[np.arange(args.rows) % len(real)]
        yield "embeddings", f"{about}, {(data == 0).mean():.0%} zeros", data


def report(args: argparse.Namespace) -> Iterator[str]:
    yield "# Storage layouts\n"
    yield f"Python {platform.python_version()}, zarr {zarr.__version__}, {os.cpu_count()} cores, "
    yield f"median of {args.repeats} warm reads; batches of {BATCH_ROWS} rows, blocks of a shard."
    for kind, about, data in build(args):
        yield f"\n## {kind} {data.dtype} {data.shape}, {data.nbytes / 1e6:.0f} MB\n\n{about}.\n"
        with tempfile.TemporaryDirectory(dir=args.temp) as work:
            yield from table(kind, data, args, Path(work))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images-from", type=Path, help="folder of JPEGs (searched below too)")
    parser.add_argument("--tflite", type=Path, help="model that makes the embeddings")
    parser.add_argument("--rows", type=int, default=16384)
    parser.add_argument("--embed-rows", type=int, default=4096, help="images to embed")
    parser.add_argument("--array", choices=("images", "embeddings", "both"), default="both")
    parser.add_argument("--only", help="measure only the codecs with this text in their name")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--temp", type=Path, help="where to put the data (default: system temp)")
    parser.add_argument("--out", type=Path, help="Markdown file (default: standard output)")
    args = parser.parse_args()
    warnings.simplefilter("error")  # a codec that makes zarr warn must not pass unseen
    lines = []
    for line in report(args):
        lines.append(line)
        if not args.out:
            print(line, flush=True)
    if args.out:
        args.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
