"""Extraction speed against two peers on the same files, and memory as the number of files grows.

    python benchmarks/extract.py                      speed, about 6 minutes on 2 cores
    python benchmarks/extract.py --memory             peak memory at 2,000 and 20,000 files

Peers, measured by turns in the same run:
  keras predict   what one writes first: load_img(target_size=...), preprocess_input and
                  model.predict, in batches of 32
  litert alone    LiteRT inference on arrays decoded beforehand: one interpreter with a thread for
                  each core. It neither reads, decodes, resizes nor stores anything.

The files are the synthetic sample's JPEGs, or those of a folder given with --images.
"""

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import featurestore as fs
from featurestore._backbones import find_weights, get_backbone
from featurestore._decode import decode
from featurestore._engines import converted, usable_cores

SIZE = 224
BACKBONE = get_backbone("mobilenet")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, help="folder of class folders of images")
    parser.add_argument("--count", type=int, default=1600)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--extract-only", nargs=2, type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.extract_only:
        folder, store = arguments.extract_only
        fs.extract(fs.read_source(str(folder)), store)
        return
    with tempfile.TemporaryDirectory() as name:
        if arguments.memory:
            measure_memory(Path(name))
        else:
            measure_speed(Path(name), arguments.images, arguments.count, arguments.rounds)


def measure_speed(scratch: Path, images: Path | None, count: int, rounds: int) -> None:
    files = write_files(scratch / "files", images, count)
    sizes = [len(path.read_bytes()) for path in files]
    what = f"of {images.name}" if images else "of the synthetic sample"
    print(f"{machine()}; {len(files)} JPEGs {what}, median {statistics.median(sizes) / 1e3:.0f} kB")
    peers = {
        "extract": lambda: extract(scratch),
        "keras predict": keras_predict(files),
        "litert alone": litert_alone(files),
    }
    speeds: dict[str, list[float]] = {name: [] for name in peers}
    for round_number in range(rounds + 1):
        for name, run in peers.items():
            start = time.perf_counter()
            run()
            if round_number:  # the first is a warm-up
                speeds[name].append(len(files) / (time.perf_counter() - start))
    print("\n| | images/s: median (min .. max) | extract's ratio to it: median (min .. max) |")
    print("|---|---|---|")
    for name, values in speeds.items():
        ratios = [ours / theirs for ours, theirs in zip(speeds["extract"], values, strict=True)]
        print(f"| {name} | {spread(values, 1)} | {spread(ratios, 2)} |")


def extract(scratch: Path) -> None:
    store = scratch / "store"
    fs.extract(fs.read_source(str(scratch / "files")), store)
    shutil.rmtree(store)


def keras_predict(files: list[Path]) -> Callable[[], object]:
    import keras

    model = keras.applications.MobileNet(
        weights=None, include_top=False, pooling="avg", input_shape=(SIZE, SIZE, 3)
    )
    model.load_weights(find_weights(BACKBONE))

    def run() -> object:
        embeddings = []
        for start in range(0, len(files), 32):
            batch = np.stack(
                [
                    keras.utils.img_to_array(keras.utils.load_img(path, target_size=(SIZE, SIZE)))
                    for path in files[start : start + 32]
                ]
            )
            batch = keras.applications.mobilenet.preprocess_input(batch)
            embeddings.append(model.predict(batch, verbose=0))
        return np.concatenate(embeddings)

    return run


def litert_alone(files: list[Path]) -> Callable[[], object]:
    from ai_edge_litert.interpreter import Interpreter

    arrays = [decode(path.read_bytes(), SIZE).pixels[None] for path in files]
    model = converted(BACKBONE, SIZE, find_weights(BACKBONE))
    interpreter = Interpreter(model_path=str(model), num_threads=usable_cores())
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]["index"]
    target = interpreter.get_output_details()[0]["index"]

    def run() -> object:
        embeddings = []
        for pixels in arrays:
            interpreter.set_tensor(source, pixels)
            interpreter.invoke()
            embeddings.append(interpreter.get_tensor(target))
        return np.concatenate(embeddings)

    return run


def measure_memory(scratch: Path) -> None:
    converted(BACKBONE, SIZE, find_weights(BACKBONE))
    print(f"{machine()}; synthetic sample's JPEGs, repeated with other trailing bytes")
    print("\n| files | peak memory, MB | seconds |\n|---|---|---|")
    for count in (2_000, 20_000):
        folder = scratch / str(count)
        write_files(folder, None, count)
        start = time.perf_counter()
        command = [sys.executable, __file__, "--extract-only", folder, folder / "store.zarr"]
        child = subprocess.Popen(command)
        _, status, usage = os.wait4(child.pid, 0)
        if status:
            sys.exit("the extraction failed")
        seconds = time.perf_counter() - start
        print(f"| {count:,} | {usage.ru_maxrss / 1e3:.0f} | {seconds:.0f} |", flush=True)
        shutil.rmtree(folder)


def write_files(folder: Path, images: Path | None, count: int) -> list[Path]:
    """Write ``count`` JPEGs into class folders; no two have the same bytes."""
    source = fs.read_source(str(images) if images else "sample")
    records = sorted(source.records, key=lambda record: record.id[::-1])  # mixes the labels
    files = []
    for number in range(count):
        record = records[number % len(records)]
        label = source.label_names[record.agree.index(1)]
        path = folder / label / f"{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        # A decoder stops at the end-of-image marker; what follows makes the bytes unique.
        path.write_bytes(source.fetch(record.id) + number.to_bytes(4))
        files.append(path)
    return files


def spread(values: list[float], digits: int) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f} .. {high:.{digits}f})"


def machine() -> str:
    return f"{usable_cores()} cores, {platform.machine()}, Python {platform.python_version()}"


if __name__ == "__main__":
    main()
