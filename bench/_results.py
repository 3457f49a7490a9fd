"""Results: what a run leaves behind, and the folder that keeps it.

    RESULTS/results.json     all runs with settings, versions, curves and fingerprints
    RESULTS/results.csv      a line for each run
    RESULTS/accuracy.svg     the same as a picture
    RESULTS/runs/<model>-seed<seed>-<fingerprint>.json

A folder holds results on one store. Every file is written aside and renamed.
"""

import csv
import io
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import filelock

from bench._errors import BenchError
from featurestore import SPLITS, FeatureStore

FORMAT_VERSION = 1
CSV_COLUMNS = (
    "model",
    "seed",
    "status",
    "train_accuracy",
    "dev_accuracy",
    "test_accuracy",
    "correct",
    "total",
    "fit_seconds",
    "reason",
    "fingerprint",
)


@dataclass(frozen=True)
class RunResult:
    """One model, trained once.

    Attributes
    ----------
    model : str
    seed : int
    status : {"ok", "failed", "skipped"}
    reason : str
        Why it failed or was skipped, in one line.
    train_accuracy, dev_accuracy, test_accuracy : float or None
        Within 0..1; None where the split is empty or the run isn't ok.
    correct, total : int or None
        Of the test split.
    fit_seconds : float or None
    settings : dict
        The model's parameters.
    versions : dict
    store_fingerprint : str
    fingerprint : str
        Of data, model, seed, settings and versions: the same means the same numbers.
    history : dict
        Curves by epoch, for models that are trained in epochs.
    """

    model: str
    seed: int
    status: str
    reason: str
    train_accuracy: float | None
    dev_accuracy: float | None
    test_accuracy: float | None
    correct: int | None
    total: int | None
    fit_seconds: float | None
    settings: dict[str, Any]
    versions: dict[str, str]
    store_fingerprint: str
    fingerprint: str
    history: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Results:
    """All results on one store.

    Attributes
    ----------
    store : dict
        Title, whether synthetic or FI, fingerprint, label names, backbone, rows by split, and the
        accuracy of always guessing the most frequent training label.
    runs : list of RunResult
    """

    store: dict[str, Any]
    runs: list[RunResult]


class ResultsFolder:
    """The folder of results on one store, held by this process; use it in a ``with`` statement.

    Raises
    ------
    BenchError
        On entering, if it holds results on another store or another process writes it.
    """

    def __init__(self, path: Path, store: FeatureStore) -> None:
        self._path = path
        self._lock = filelock.FileLock(path / ".lock", timeout=0)
        self.results = Results(describe(store), [])

    def __enter__(self) -> Self:
        (self._path / "runs").mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except filelock.Timeout:
            raise BenchError(
                f"{self._path}: another `bench run` is writing here; wait for it or give another "
                "--results"
            ) from None
        try:
            self._read()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()

    def find(self, model: str, seed: int, fingerprint: str) -> RunResult | None:
        """Return an earlier run that ended well with the same fingerprint, or None."""
        try:
            return RunResult(**json.loads(self._run_path(model, seed, fingerprint).read_bytes()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):  # cut short by a full disk, or from another version
            return None

    def add(self, run: RunResult) -> None:
        """Keep a run, in place of an earlier one of the same model and seed."""
        if run.status == "ok":
            path = self._run_path(run.model, run.seed, run.fingerprint)
            _write(path, json.dumps(asdict(run), indent=1))
        kept = [r for r in self.results.runs if (r.model, r.seed) != (run.model, run.seed)]
        self.results.runs[:] = [*kept, run]
        self._write_tables()

    def written(self) -> list[Path]:
        """Return the files that people look at."""
        return [self._path / n for n in ("results.csv", "results.json", "accuracy.svg")]

    def _read(self) -> None:
        path = self._path / "results.json"
        if not path.exists():
            return
        try:
            found = json.loads(path.read_bytes())
            runs = [RunResult(**run) for run in found["runs"]]
            store = found["store"]
            other = store["fingerprint"] != self.results.store["fingerprint"]
        except (ValueError, KeyError, TypeError):
            raise BenchError(
                f"{path}: can't be read; move it away or give another --results"
            ) from None
        if other:
            raise BenchError(
                f"{self._path}: holds results on another store ({store['title']}, fingerprint "
                f"{store['fingerprint'][:12]}); give another --results"
            )
        self.results.runs[:] = runs

    def _write_tables(self) -> None:
        from bench._chart import draw_accuracy

        content = {"format_version": FORMAT_VERSION} | asdict(self.results)
        _write(self._path / "results.json", json.dumps(content, indent=1))
        text = io.StringIO()
        table = csv.DictWriter(text, CSV_COLUMNS, extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        table.writerows(asdict(run) for run in self.results.runs)
        _write(self._path / "results.csv", text.getvalue())
        _write(self._path / "accuracy.svg", draw_accuracy(self.results))

    def _run_path(self, model: str, seed: int, fingerprint: str) -> Path:
        return self._path / "runs" / f"{model}-seed{seed}-{fingerprint[:16]}.json"


def describe(store: FeatureStore) -> dict[str, Any]:
    """Return what results say about the store they are on."""
    import numpy as np

    source = store.attributes["source"]
    train, test = store.labels[store.rows("train")], store.labels[store.rows("test")]
    majority = int(np.bincount(train).argmax()) if len(train) else None
    return {
        "title": source["title"],
        "synthetic": source["synthetic"],
        "is_fi": source["is_fi"],
        "fingerprint": store.fingerprint,
        "label_names": list(store.label_names),
        "backbone": store.backbones[0],
        "embedding": store.attributes["backbones"][store.backbones[0]],
        "rows": {split: len(store.rows(split)) for split in SPLITS},
        "majority": {
            "label": None if majority is None else store.label_names[majority],
            **{
                split: float((store.labels[store.rows(split)] == majority).mean())
                if len(store.rows(split))
                else None
                for split in SPLITS
            },
            "correct": int((test == majority).sum()),
            "total": len(test),
        },
    }


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8", newline="\n")
    partial.replace(path)
