"""Classifiers on many embeddings: speed and memory, and accuracy beside scikit-learn's own SVM.

    python benchmarks/classifiers.py
    python benchmarks/classifiers.py --store photos.zarr

On a made set of 68,000 x 1024 (eight classes that overlap; variances that fall as those of pooled
ReLU features do; synthetic, so its accuracies mean nothing), a process of its own for each:
  mlp        20 epochs of the preset "report", and Keras' `fit` of the same network with the same
             batches, rule and rate, by turns
  others     fit time and peak memory of each model's default, with 6,800 rows of dev

With --store, on that store's splits: each model's default, and PCA 256 + RBF `SVC` of scikit-learn.
"""

import argparse
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

# This file's own folder comes first otherwise, and `import classifiers` would find this file.
sys.path[:] = [folder for folder in sys.path if Path(folder) != Path(__file__).parent]

ROWS, FEATURES, CLASSES, EPOCHS = 68_000, 1024, 8, 20
MODELS = ("PCASVM", "LightGBM", "LinearProbe", "MLP")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", type=Path, help="compare accuracies on this store")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--as", dest="role", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.role:
        print(ROLES.get(arguments.role, fit_default)(arguments))
        return
    print(f"{platform.machine()}, Python {platform.python_version()}, {arguments.rows:,} rows")
    if arguments.store:
        on_store(arguments.store)
        return
    times: dict[str, list[float]] = {"ours": [], "keras": []}
    for _ in range(arguments.rounds):
        for role, taken in times.items():
            taken.append(float(in_process(role, arguments.rows).split()[0]))
    ratios = [k / o for o, k in zip(times["ours"], times["keras"], strict=True)]
    for role, taken in times.items():
        print(f"mlp, {EPOCHS} epochs, {role:6} {statistics.median(taken):7.1f} s")
    spread = f"{min(ratios):.2f} .. {max(ratios):.2f}"
    print(f"mlp, ours is {statistics.median(ratios):.2f} x Keras' fit ({spread})")
    for name in MODELS:
        seconds, megabytes, accuracy = in_process(name, arguments.rows).split()
        print(f"{name:12} {float(seconds):7.1f} s  peak {megabytes} MB  dev {accuracy} %")


def in_process(role: str, rows: int) -> str:
    command = [sys.executable, __file__, "--as", role, "--rows", str(rows)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return run.stdout.splitlines()[-1]


def made(rows: int, seed: int = 0) -> tuple[Any, Any]:
    """Return float32 X (rows, 1024), never negative and skewed, and y (rows,)."""
    rng = np.random.default_rng(seed)
    fixed = np.random.default_rng(1)  # the same classes for every seed
    rotation = np.linalg.qr(fixed.normal(size=(FEATURES, FEATURES)))[0].astype(np.float32)
    spread = np.arange(1, FEATURES + 1, dtype=np.float32) ** -0.6
    means = fixed.normal(size=(CLASSES, FEATURES)).astype(np.float32) * spread * 0.1
    y = rng.integers(0, CLASSES, rows)
    X = rng.standard_normal((rows, FEATURES), np.float32)
    X *= spread
    X += means[y]
    X = X @ rotation
    np.exp(6 * X, out=X)
    return X, y


def ours(arguments: argparse.Namespace) -> str:
    from classifiers import MLP

    X, y = made(arguments.rows)
    model = MLP(**MLP.presets["report"] | {"epochs": EPOCHS})
    start = time.perf_counter()
    model.fit(X, y)
    return f"{time.perf_counter() - start} {model.history_['loss'][-1]}"


def keras_fit(arguments: argparse.Namespace) -> str:
    from featurestore._tensorflow import load_tensorflow

    keras = load_tensorflow().keras
    X, y = made(arguments.rows)
    network = keras.Sequential(
        [
            keras.Input((FEATURES,)),
            keras.layers.Dense(25, activation="relu", kernel_initializer="he_normal"),
            keras.layers.Dense(12, activation="relu", kernel_initializer="he_normal"),
            keras.layers.Dense(CLASSES, kernel_initializer="he_normal"),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(1e-4), loss, metrics=["accuracy"])
    start = time.perf_counter()
    found = network.fit(X, y, batch_size=64, epochs=EPOCHS, verbose=0)
    return f"{time.perf_counter() - start} {found.history['loss'][-1]}"


def fit_default(arguments: argparse.Namespace) -> str:
    import classifiers

    X, y = made(arguments.rows)
    dev = made(arguments.rows // 10, seed=2)
    model = getattr(classifiers, arguments.role)()
    start = time.perf_counter()
    model.fit(X, y, *dev)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return f"{seconds} {peak} {100 * model.score(*dev):.1f}"


def on_store(path: Path) -> None:
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import SVC

    import classifiers
    from featurestore import SPLITS, FeatureStore

    store = FeatureStore(path)
    X, y = store.embeddings()[:], store.labels
    train, dev, test = ((X[rows], y[rows]) for rows in map(store.rows, SPLITS))
    print(f"{path}: {len(train[0]):,} / {len(dev[0]):,} / {len(test[0]):,}")
    for name in MODELS:
        model = getattr(classifiers, name)()
        start = time.perf_counter()
        model.fit(*train, *dev)
        report(name, model, time.perf_counter() - start, dev, test)
    start = time.perf_counter()
    peer = make_pipeline(PCA(256, random_state=0), SVC(C=3.0, cache_size=1000)).fit(*train)
    report("PCA + SVC", peer, time.perf_counter() - start, dev, test)


def report(name: str, model: Any, seconds: float, dev: Any, test: Any) -> None:
    accuracies = f"dev {100 * model.score(*dev):.1f} %  test {100 * model.score(*test):.1f} %"
    print(f"{name:12} {seconds:7.1f} s  {accuracies}", flush=True)


ROLES = {"ours": ours, "keras": keras_fit}

if __name__ == "__main__":
    main()
