"""Why a FractalNet may never leave chance: one thing changed at a time.

    python benchmarks/fractalnet.py --store photos.zarr --figure docs/fractalnet.svg

Trains the CPU-sized network on a part of a store's 32 px images for a few epochs, as it is and with
one of its parts changed, and tells the loss after each epoch beside the logarithm of the number of
classes, which is what a network that has learned nothing gives.
"""

import argparse
import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

# This file's own folder comes first otherwise, and its neighbours would hide packages.
sys.path[:] = [folder for folder in sys.path if Path(folder) != Path(__file__).parent]

EPOCHS, ROWS = 6, 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--figure", type=Path, help="an SVG of the curves")
    arguments = parser.parse_args()

    from featurestore import FeatureStore
    from featurestore._tensorflow import load_tensorflow

    load_tensorflow()
    store = FeatureStore(arguments.store)
    rows = store.rows("train")[:ROWS]
    X, y = store.images.oindex[rows], store.labels[rows]
    chance = float(np.log(len(np.unique(y))))
    print(f"{store.attributes['source']['title']}, {len(X):,} images, ln(classes) = {chance:.3f}")
    curves = {}
    for name, (settings, changed) in VARIANTS.items():
        start = time.perf_counter()
        curves[name] = losses(X, y, settings, changed)
        text = "  ".join(f"{value:7.3f}" for value in curves[name])
        print(f"{name:52} {text}  {time.perf_counter() - start:4.0f} s", flush=True)
    if arguments.figure:
        draw(curves, chance, arguments.figure)


def losses(X: Any, y: Any, settings: dict[str, Any], changed: Callable[[], Any]) -> list[float]:
    """Return the training loss by epoch; NaN from the epoch in which it was no number."""
    from cnn import FractalNet, TrainingDivergedError

    told: list[float] = []
    recipe = {"epochs": EPOCHS, "label_smoothing": 0.0, "l2": 0.0, "averaging": 0.0}
    model = FractalNet(**recipe | settings)
    try:
        with changed():
            told = model.fit(X, y).history_["loss"]
    except TrainingDivergedError:
        pass
    return [*told, *[float("nan")] * (EPOCHS - len(told))]


@contextlib.contextmanager
def without_normalisation() -> Iterator[None]:
    from cnn import _fractal

    with mock.patch.object(_fractal.BatchNorm, "call", lambda self, x, training=False, route=0: x):
        yield


@contextlib.contextmanager
def raw_pixels() -> Iterator[None]:
    from cnn import FractalNet

    unscaled = np.zeros(3, np.float32), np.ones(3, np.float32)
    with mock.patch.object(FractalNet, "_pixel_scaling", return_value=unscaled):
        yield


@contextlib.contextmanager
def initial(name: str) -> Iterator[None]:
    import keras

    kinds = {
        "small": lambda seed: keras.initializers.RandomNormal(stddev=0.01, seed=seed),
        "large": lambda seed: keras.initializers.RandomNormal(stddev=0.2, seed=seed),
    }
    with mock.patch.object(keras.initializers, "HeNormal", kinds[name]):
        yield


@contextlib.contextmanager
def all_of(*changes: Callable[[], Any]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for change in changes:
            stack.enter_context(change())
        yield


PLAIN = contextlib.nullcontext
PAPER = {"learning_rate": 0.02, "schedule": "constant", "warmup": 0.0}
VARIANTS: dict[str, tuple[dict[str, Any], Callable[[], Any]]] = {
    "as it is": ({}, PLAIN),
    "the paper's rate, 0.02": (PAPER, PLAIN),
    "rate 1": (PAPER | {"learning_rate": 1.0}, PLAIN),
    "Adam at 0.02": (PAPER | {"optimizer": "adam"}, PLAIN),
    "no drop-path": (PAPER | {"drop_path": 0.0}, PLAIN),
    "pixels 0..255": (PAPER, raw_pixels),
    "no batch normalisation": (PAPER, without_normalisation),
    "no batch normalisation, small initial kernels": (
        PAPER,
        lambda: all_of(without_normalisation, lambda: initial("small")),
    ),
    "no batch normalisation, large initial kernels": (
        PAPER,
        lambda: all_of(without_normalisation, lambda: initial("large")),
    ),
    "no batch normalisation, pixels 0..255": (
        PAPER,
        lambda: all_of(without_normalisation, raw_pixels),
    ),
    "no batch normalisation, gradients clipped at 1": (
        PAPER | {"clip": 1.0},
        without_normalisation,
    ),
}


def draw(curves: dict[str, list[float]], chance: float, path: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "fractalnet"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    epochs = np.arange(1, EPOCHS + 1)
    styles = ["-", "--", ":"]
    for i, (name, curve) in enumerate(curves.items()):
        axes.plot(epochs, curve, styles[i % 3], marker="o", markersize=3, label=name)
    axes.axhline(chance, color="gray", linewidth=1)
    axes.annotate("chance: ln(classes)", (EPOCHS, chance), ha="right", va="bottom", color="gray")
    axes.set(xlabel="epoch", ylabel="training loss", ylim=(1.2, chance + 0.8))
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
