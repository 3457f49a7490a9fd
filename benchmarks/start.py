"""How long a command takes that does next to nothing: start-up beside that of TensorFlow.

    python benchmarks/start.py

`bench --help` and `bench predict` of one image (a linear probe on MobileNet's embeddings, trained
beforehand on a few of the sample's images) by turns with `import tensorflow` and with a script that
does the same as the latter in Keras. A process of its own for each, files in the page cache.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import _table

IMAGES = 160  # of the sample, to train on
KERAS = """
import sys
import numpy as np
import keras

model = keras.applications.MobileNet(
    weights=None, include_top=False, pooling="avg", input_shape=(224, 224, 3)
)
model.load_weights(sys.argv[2])
image = keras.utils.img_to_array(keras.utils.load_img(sys.argv[1], target_size=(224, 224)))[None]
embedding = model.predict(keras.applications.mobilenet.preprocess_input(image), verbose=0)
scores = embedding @ np.random.default_rng(0).normal(size=(1024, 8))
print(scores.argmax())
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="keep the comparison in a file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        _table.report(compare(Path(scratch), arguments.rounds), arguments.json)


def compare(scratch: Path, rounds: int) -> list[_table.Row]:
    import extract

    image = extract.write_files(scratch / "files", None, IMAGES)[0]
    store, results = scratch / "store.zarr", scratch / "results"
    bench = [sys.executable, "-m", "bench"]
    run([*bench, "extract", scratch / "files", "--store", store])
    run([*bench, "run", "linear-probe", "--store", store, "--results", results])
    weights = extract.find_weights(extract.BACKBONE)
    commands: dict[str, list[object]] = {
        "help": [*bench, "--help"],
        "tensorflow": [sys.executable, "-c", "import tensorflow"],
        "predict": [*bench, "predict", image, "--results", results],
        "keras": [sys.executable, "-c", KERAS, image, weights],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            taken = run(command)
            if number:  # the first reads files into the page cache
                seconds[name].append(taken)
    pairs = (
        ("bench --help", "import tensorflow", "help", "tensorflow"),
        ("bench predict, one image", "a Keras script", "predict", "keras"),
    )
    return [
        _table.compare(what, peer, seconds[ours], seconds[theirs], "s", less=True)
        for what, peer, ours, theirs in pairs
    ]


def run(command: list[object]) -> float:
    start = time.perf_counter()
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit((done.stderr or "failed").strip().splitlines()[-1])
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
