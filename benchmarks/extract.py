"""Extraction speed against its peers on the same files, and memory as the number of files grows.

    python benchmarks/extract.py                      speed, about 6 minutes on 2 cores
    python benchmarks/extract.py --memory             peak memory at 2,000 and 20,000 files

Peers, measured by turns in the same run:
  keras predict   what one writes first: load_img(target_size=...), preprocess_input and
                  model.predict, in batches of 32
  litert alone    LiteRT inference on arrays decoded beforehand: one interpreter with a thread for
                  each core. It neither reads, decodes, resizes nor stores anything.
  pytorch         as clip-retrieval embeds: a DataLoader with a worker a core, and the same network
                  in batches of 32; where --torch-python names a Python that has PyTorch

The files are the synthetic sample's JPEGs, or those of a folder given with --images.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import _table
import numpy as np

import featurestore as fs
from featurestore._backbones import find_weights, get_backbone
from featurestore._decode import decode
from featurestore._engines import converted, usable_cores

SIZE = 224
PEERS = {
    "keras predict": "Keras load_img and predict",
    "litert alone": "LiteRT inference alone",
    "pytorch": "PyTorch DataLoader and MobileNet",
}
BACKBONE = get_backbone("mobilenet")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, help="folder of class folders of images")
    parser.add_argument("--count", type=int, default=1600)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--torch-python", type=Path, help="a Python that has PyTorch")
    parser.add_argument("--json", type=Path, help="keep the comparison in a file")
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
            measure_speed(Path(name), arguments)


def measure_speed(scratch: Path, arguments: argparse.Namespace) -> None:
    images, rounds = arguments.images, arguments.rounds
    files = write_files(scratch / "files", images, arguments.count)
    sizes = [len(path.read_bytes()) for path in files]
    what = f"of {images.name}" if images else "of the synthetic sample"
    print(f"{machine()}; {len(files)} JPEGs {what}, median {statistics.median(sizes) / 1e3:.0f} kB")
    programs: dict[str, Callable[[], object]] = {
        "extract": lambda: extract(scratch),
        "keras predict": keras_predict(files),
        "litert alone": litert_alone(files),
    }
    runs = {name: timed(program) for name, program in programs.items()}
    if arguments.torch_python:
        runs["pytorch"] = lambda: torch_seconds(arguments.torch_python, scratch / "files")
    programs = {name: speed(run, len(files)) for name, run in runs.items()}
    speeds = _table.by_turns(programs, "extract", rounds, warm_ups=1)
    title = f"embedding {len(files):,} JPEGs {what}"
    rows = _table.against(title, speeds, "extract", PEERS, "images/s")
    _table.report(rows, arguments.json)


def speed(run: Callable[[], float], count: int) -> Callable[[], float]:
    return lambda: count / run()


def timed(program: Callable[[], object]) -> Callable[[], float]:
    def run() -> float:
        start = time.perf_counter()
        program()
        return time.perf_counter() - start

    return run


def torch_seconds(python: Path, folder: Path) -> float:
    command = [python, Path(__file__).with_name("_torch_embed.py"), folder]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(found.stdout)


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


def machine() -> str:
    return ", ".join(_table.machine().values())


if __name__ == "__main__":
    main()
