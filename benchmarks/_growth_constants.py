"""What a row or an image costs, and what follows for larger sets: tables of docs/scaling.md."""

import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _table

# FI as You et al. 2016 kept it, EmoSet-118K, and what may come.
SETS = {
    "FI": 23_000,
    "EmoSet": 118_000,
    "1 million": 10**6,
    "10 million": 10**7,
    "100 million": 10**8,
}
ROWS = 20_480  # of the store that is looked at: five full shards
IMAGES = 200  # decoded and embedded
DOWNLOADS = 3000


def measure_constants() -> dict[str, float]:
    """Measure bytes, seconds and images a second, by parts of the program itself."""
    with tempfile.TemporaryDirectory() as scratch:
        found = measure_store(Path(scratch) / "store")
    return found | measure_images() | measure_download()


def measure_store(folder: Path) -> dict[str, float]:
    """Return what a row of a store takes on disk, and what its root says of a file."""
    from growth import Clock, write_store

    write_store(ROWS, folder, Clock())
    files = [path for path in folder.rglob("*") if path.is_file()]
    objects = json.loads((folder / "zarr.json").read_bytes())["attributes"]["objects"]
    descriptions = sum(path.name == "zarr.json" for path in files)
    found: dict[str, float] = {
        "bytes of the root a file": (folder / "zarr.json").stat().st_size / len(objects),
        "small arrays": descriptions - 5,  # less the root, two groups and two large arrays
        "files that describe": descriptions,
    }
    sizes: dict[str, int] = {}
    for path in files:
        if path.name != "zarr.json":
            kind = path.relative_to(folder).parts[0]
            sizes[kind] = sizes.get(kind, 0) + path.stat().st_size
    found |= {f"bytes a row: {kind}": size / ROWS for kind, size in sorted(sizes.items())}
    return found


def measure_images() -> dict[str, float]:
    """Return images a second of one core: decoding the sample's JPEGs, and embedding them."""
    import featurestore as fs
    from featurestore._backbones import find_weights, get_backbone
    from featurestore._decode import decode
    from featurestore._engines import make_engine

    source = fs.read_source("sample")
    files = [source.fetch(record.id) for record in source.records[:IMAGES]]
    backbone = get_backbone("mobilenet")
    engine = make_engine("litert", backbone, backbone.size, find_weights(backbone))
    pixels = [decode(file, backbone.size).pixels for file in files]
    engine.embed(pixels[0][None])

    def embed_all() -> None:
        for image in pixels:
            engine.embed(image[None])

    def decode_all() -> None:
        for file in files:
            decode(file, backbone.size)

    return {
        "bytes a downloaded image": statistics.mean(map(len, files)),
        "images decoded a core-second": IMAGES / core_seconds(decode_all),
        "images embedded a core-second": IMAGES / core_seconds(embed_all),
    }


def measure_download() -> dict[str, float]:
    """Return images a second of one core, fetched from a server on loopback and decoded."""
    import download

    ports: multiprocessing.Queue[int] = multiprocessing.Queue()
    server = multiprocessing.Process(target=download.serve, args=(ports,), daemon=True)
    server.start()
    address = f"http://127.0.0.1:{ports.get()}"
    urls = [f"{address}/{n}.jpg" for n in range(DOWNLOADS)]
    download.ours(urls[:100], download.THREADS)
    seconds = core_seconds(lambda: download.ours(urls, download.THREADS))
    server.terminate()
    return {"images fetched and decoded a core-second": DOWNLOADS / seconds}


def core_seconds(work: Callable[[], object]) -> float:
    """Return the processor seconds of this process that some work takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


def show_constants(kept: dict[str, Any]) -> str:
    """Return a table of what a row or an image costs."""
    constants = kept.get("constants", {})
    cells = [[what, _table.number(value)] for what, value in constants.items()]
    return _table.markdown(["", "measured"], cells)


def show_plan(kept: dict[str, Any]) -> str:
    """Return a table of what sets of several sizes take, computed from what was measured."""
    constants, growth = kept.get("constants", {}), kept.get("growth", {})
    if not constants:
        return "The constants haven't been measured."
    columns = [needs(rows, constants, growth) for rows in SETS.values()]
    cells = [[what, *(_table.number(column[what]) for column in columns)] for what in columns[0]]
    heads = [f"{name}, {rows:,}" for name, rows in SETS.items()]
    return _table.markdown(["", *heads], cells)


def needs(rows: int, constants: dict[str, float], growth: dict[str, Any]) -> dict[str, float]:
    """Return what a set of so many images takes, by what it is."""
    from growth import exponent, kilobytes_a_row

    from featurestore._layout import CHUNK_ROWS, COLUMN_ROWS, SHARD_ROWS
    from featurestore._segments import SEGMENT_RESULTS

    def files(a_file: int) -> int:
        return -(-rows // a_file)

    a_row = {key: value for key, value in constants.items() if key.startswith("bytes a row: ")}
    shards = 2 * files(SHARD_ROWS)
    columns = constants["small arrays"] * files(COLUMN_ROWS)
    objects = shards + columns + constants["files that describe"]
    found = {
        "images on disk, GB": rows * a_row["bytes a row: images"] / 1e9,
        "embeddings on disk, GB": rows * a_row["bytes a row: embeddings"] / 1e9,
        "all else on disk, GB": (
            rows
            * sum(v for k, v in a_row.items() if not k.endswith(("images", "embeddings")))
            / 1e9
        ),
        "core-hours to fetch and decode": (
            rows / constants["images fetched and decoded a core-second"] / 3600
        ),
        "core-hours to embed": rows / constants["images embedded a core-second"] / 3600,
        "staged segments (PUT or file)": files(SEGMENT_RESULTS),
        "shards": shards,
        "objects of the store (PUT or file)": objects,
        "root, MB": objects * constants["bytes of the root a file"] / 1e6,
        "GETs of an epoch of embeddings, by shard": files(SHARD_ROWS),
        "GETs of an epoch of embeddings, by chunk": files(CHUNK_ROWS) + files(SHARD_ROWS),
    }
    for part in ("writing a store", "near-duplicates"):
        measured = growth.get(part, {})
        largest = max((int(n) for n, values in measured.items() if "seconds" in values), default=0)
        slope, more = exponent(measured, "seconds"), kilobytes_a_row(measured)
        if slope is None or more is None:
            continue
        there = measured[str(largest)]
        # At least in proportion, even where small sets made the fitted exponent less.
        found[f"{part}, s"] = there["seconds"] * (rows / largest) ** max(1.0, slope)
        found[f"{part}, MB"] = max(0.0, there["peak_mb"] + more * (rows - largest) / 1000)
    return found
