"""How long a report takes and how large it gets: 10 models, 5 seeds, 8,492 test images.

    bench extract --image-size 96 && python benchmarks/report.py

Predictions, curves and scores are made up; images and the data sheet are real. Prints seconds and
size of each file.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from bench._chart import draw_accuracy
from bench._comparison import compare_all
from bench._dataset import Dataset
from bench._models import MODELS
from bench._predictions import Predictions
from bench._records import RunResult
from bench._report import build_report
from bench._results import ResultsFolder
from bench._statistics import score
from bench._tables import show_csv, show_latex, show_markdown
from featurestore import FeatureStore

MADE_UP, SEEDS, EPOCHS = 10, 5, 100


def make_up(folder: ResultsFolder, data: Dataset, images: int) -> None:
    """Write runs whose predictions lean to the right label."""
    labels = len(data.label_names)
    rng = np.random.default_rng(0)
    truth = rng.integers(0, labels, 2 * images)
    rows = rng.integers(0, len(data.store), 2 * images)
    split = np.repeat(["dev", "test"], images)
    ids = np.array([f"{number:016x}" for number in range(2 * images)])
    for number in range(MADE_UP):
        name = [*MODELS][number % len(MODELS)]
        variant = "default" if number < len(MODELS) else "report"
        for seed in range(SEEDS):
            values = (
                rng.normal(size=(2 * images, labels)) + (1 + number / 10) * np.eye(labels)[truth]
            )
            powers = np.exp(values)
            probabilities = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
            found = Predictions(split, ids, rows, truth, probabilities)
            dev, test = (found.of(part) for part in ("dev", "test"))
            fall = np.exp(-np.arange(EPOCHS) / 30) + 0.05 * rng.random(EPOCHS)
            run = RunResult(
                model=name,
                variant=variant,
                seed=seed,
                status="ok",
                reason="",
                train_accuracy=0.9,
                dev=score(dev.label, dev.probabilities),
                test=score(test.label, test.probabilities),
                fit_seconds=1.0,
                settings={"made_up": True},
                versions={},
                store_fingerprint=data.store.fingerprint,
                fingerprint=f"{number:08d}{seed:08d}",
                history={
                    "loss": fall.tolist(),
                    "dev_loss": (fall + 0.2).tolist(),
                    "accuracy": (1 - fall / 2).tolist(),
                    "dev_accuracy": (0.9 - fall / 2).tolist(),
                    "learning_rate": np.linspace(0.1, 0, EPOCHS).tolist(),
                },
            )
            folder.begin(run)
            folder.commit(run, found, data.label_names)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--store", type=Path, default=Path("features.zarr"))
    parser.add_argument("--images", type=int, default=8492)
    arguments = parser.parse_args()
    data = Dataset(FeatureStore(arguments.store))
    with (
        tempfile.TemporaryDirectory() as place,
        ResultsFolder(Path(place), data.describe()) as folder,
    ):
        make_up(folder, data, arguments.images)
        results = folder.results
        begun = time.perf_counter()
        compared = compare_all(folder.path, results)
        print(f"comparing      {time.perf_counter() - begun:5.1f} s")
        steps = {
            "report.html": lambda: build_report(folder.path, results, compared, data),
            "results.csv": lambda: show_csv(results),
            "results.md": lambda: show_markdown(results, compared.pairs),
            "results.tex": lambda: show_latex(results),
            "accuracy.svg": lambda: draw_accuracy(results),
        }
        for name, make in steps.items():
            start = time.perf_counter()
            size = folder.write(name, make()).stat().st_size
            took = time.perf_counter() - start
            print(f"{name:14} {took:5.1f} s {size / 1e6:6.2f} MB")
        print(f"all            {time.perf_counter() - begun:5.1f} s")


if __name__ == "__main__":
    main()
