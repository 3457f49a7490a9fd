"""Classifiers on embeddings beside what one would take instead: seconds, memory, and accuracy.

    python benchmarks/classifiers.py
    python benchmarks/classifiers.py --store photos.zarr

On a made set of 68,000 x 1024 (eight classes that overlap; variances that fall as those of pooled
ReLU features do; synthetic, so its accuracies mean nothing), or with --store on that store's train
and test rows. A process of its own for each fit, by turns:
  MLP        20 epochs of the preset "report", and Keras' `fit` of the same network with the same
             batches, rule and rate
  PCASVM     the default, and scikit-learn's PCA 256 + RBF `SVC`; on at most 8,000 rows, since the
             latter's cost grows with their square
  LightGBM   the default, and LightGBM as it comes
  alone      the linear probe
"""

import argparse
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _table
import numpy as np

ROWS, FEATURES, CLASSES, EPOCHS, SVC_ROWS = 68_000, 1024, 8, 20, 8_000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", type=Path, help="learn from this store's train rows")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--json", type=Path, help="keep the comparison in a file")
    parser.add_argument("--as", dest="role", choices=tuple(ROLES), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.role:
        print(*measure(arguments))
        return
    _table.report([row for pair in PAIRS for row in compare(*pair, arguments)], arguments.json)


def compare(
    what: str, role: str, peer: str, told: str, limit: int, arguments: argparse.Namespace
) -> list[_table.Row]:
    """Return a row of seconds, one of megabytes, and on a store one of accuracies."""
    rows = min(arguments.rows, limit)
    roles = [role, peer] if peer else [role]
    found: dict[str, list[list[float]]] = {name: [] for name in roles}
    for _ in range(arguments.rounds):
        for name in roles:
            try:
                found[name].append(in_process(name, rows, arguments.store))
            except subprocess.CalledProcessError as error:
                return [_table.missing(what, told, _table.failure(error))]
    on = arguments.store.name if arguments.store else f"{rows:,} synthetic rows"
    ours = list(zip(*found[role], strict=True))
    if not peer:
        units = ("s", "MB at the peak")
        return [_table.alone(f"{what}, {on}", v, u) for v, u in zip(ours[:2], units, strict=True)]
    theirs = list(zip(*found[peer], strict=True))
    table = [
        _table.compare(f"{what}, {on}", told, ours[0], theirs[0], "s", less=True),
        _table.compare(f"{what}, {on}", told, ours[1], theirs[1], "MB at the peak", less=True),
    ]
    if arguments.store:
        table.append(_table.compare(f"{what}, {on}", told, ours[2], theirs[2], "% right on test"))
    return table


def in_process(role: str, rows: int, store: Path | None) -> list[float]:
    command = [sys.executable, __file__, "--as", role, "--rows", str(rows)]
    command += ["--store", str(store)] if store else []
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return [float(value) for value in run.stdout.splitlines()[-1].split()]


def measure(arguments: argparse.Namespace) -> tuple[float, float, float]:
    """Return seconds of a fit, the process' peak memory in MB, and accuracy in % on what's left."""
    warnings.simplefilter("ignore")
    train, dev, test = parts(arguments.rows, arguments.store)
    start = time.perf_counter()
    predict = ROLES[arguments.role](train, dev)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return seconds, peak, 100 * float((predict(test[0]) == test[1]).mean())


def parts(rows: int, path: Path | None) -> Any:
    """Return (X, y) to learn from, to choose on and to test on."""
    if path is None:
        return made(rows), made(rows // 10, seed=2), made(rows // 10, seed=3)
    from featurestore import SPLITS, FeatureStore

    store = FeatureStore(path)
    X, y = store.embeddings()[:], store.labels
    train, dev, test = ((X[rows], y[rows]) for rows in map(store.rows, SPLITS))
    return train, dev, test


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


def report_mlp(train: Any, dev: Any) -> Any:
    from classifiers import MLP

    return MLP(**MLP.presets["report"] | {"epochs": EPOCHS}).fit(*train).predict


def keras_fit(train: Any, dev: Any) -> Any:
    from featurestore._tensorflow import load_tensorflow

    keras = load_tensorflow().keras
    network = keras.Sequential(
        [
            keras.Input((FEATURES,)),
            keras.layers.Dense(25, activation="relu", kernel_initializer="he_normal"),
            keras.layers.Dense(12, activation="relu", kernel_initializer="he_normal"),
            keras.layers.Dense(int(train[1].max()) + 1, kernel_initializer="he_normal"),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(1e-4), loss, metrics=["accuracy"])
    network.fit(*train, batch_size=64, epochs=EPOCHS, verbose=0)
    return lambda X: network.predict(X, verbose=0).argmax(axis=1)


def default(name: str) -> Callable[[Any, Any], Any]:
    def fit(train: Any, dev: Any) -> Any:
        import classifiers

        return getattr(classifiers, name)().fit(*train, *dev).predict

    return fit


def svc(train: Any, dev: Any) -> Any:
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import SVC

    return make_pipeline(PCA(256, random_state=0), SVC(C=3.0, cache_size=1000)).fit(*train).predict


def plain_lightgbm(train: Any, dev: Any) -> Any:
    from lightgbm import LGBMClassifier

    return LGBMClassifier(verbose=-1).fit(*train).predict


ROLES: dict[str, Callable[[Any, Any], Any]] = {
    "report-mlp": report_mlp,
    "keras": keras_fit,
    "pca-svm": default("PCASVM"),
    "svc": svc,
    "lightgbm": default("LightGBM"),
    "plain-lightgbm": plain_lightgbm,
    "linear-probe": default("LinearProbe"),
}
PAIRS = (
    (f"MLP, report, {EPOCHS} epochs", "report-mlp", "keras", "Keras fit", ROWS),
    ("PCA + SVM", "pca-svm", "svc", "scikit-learn PCA + SVC", SVC_ROWS),
    ("LightGBM", "lightgbm", "plain-lightgbm", "LightGBM's defaults", ROWS),
    ("linear probe", "linear-probe", "", "", ROWS),
)

if __name__ == "__main__":
    main()
