"""Results: what a run leaves behind, and the folder that keeps it.

    RESULTS/results.json     all runs with settings, versions, curves and fingerprints
    RESULTS/results.csv      a line for each run
    RESULTS/accuracy.svg     the same as a picture
    RESULTS/runs/<model>-<variant>-seed<seed>-<fingerprint>.json
    RESULTS/runs/<model>-<variant>-seed<seed>-<fingerprint>.npz    the model itself

A folder holds results on one store, with one grouping of its labels. Every file is written aside
and renamed.
"""

import csv
import io
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import filelock

from bench._dataset import Dataset
from bench._errors import BenchError
from featurestore._files import write_durably

FORMAT_VERSION = 2
CSV_COLUMNS = (
    "model",
    "variant",
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
    variant : str
        Its preset, with what else was asked for: "default", "default+soft-labels".
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
        The model's parameters, whether it learned from soft labels, and the groups of labels.
    versions : dict
    store_fingerprint : str
    fingerprint : str
        Of data, model, seed, settings and versions: the same means the same numbers.
    history : dict
        Curves by epoch, for models that are trained in epochs: loss and accuracy in training and on
        dev, and the learning rate.
    search : list of dict
        Settings that were tried on dev and their accuracies, for models that choose theirs so.
    """

    model: str
    variant: str
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
    search: list[dict[str, float]] = field(default_factory=list)

    @property
    def key(self) -> tuple[str, str, int]:
        """What tells it from others: a folder keeps one run of each."""
        return self.model, self.variant, self.seed


@dataclass(frozen=True)
class Results:
    """All results on one store.

    Attributes
    ----------
    store : dict
        Title, whether synthetic or FI, fingerprint, label names and groups, backbone, rows by
        split, and the accuracy of always guessing the most frequent training label.
    runs : list of RunResult
    """

    store: dict[str, Any]
    runs: list[RunResult]


class ResultsFolder:
    """The folder of results on one store, held by this process; use it in a ``with`` statement.

    Raises
    ------
    BenchError
        On entering, if it holds results on another store or with other groups, or another process
        writes it.
    """

    def __init__(self, path: Path, data: Dataset) -> None:
        self._path = path
        self._lock = filelock.FileLock(path / ".lock", timeout=0)
        self.results = Results(data.describe(), [])

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

    def find(self, about: dict[str, Any]) -> RunResult | None:
        """Return an earlier run that ended well with the same fields and fingerprint, or None."""
        try:
            path = self.model_path(about).with_suffix(".json")
            return RunResult(**json.loads(path.read_bytes()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):  # cut short by a full disk, or from another version
            return None

    def model_path(self, about: dict[str, Any]) -> Path:
        """Return where the model of the run with these fields belongs."""
        name = "{model}-{variant}-seed{seed}".format(**about)
        return self._path / "runs" / f"{name}-{about['fingerprint'][:16]}.npz"

    def add(self, run: RunResult) -> None:
        """Keep a run, in place of an earlier one of the same model, variant and seed."""
        if run.status == "ok":
            fields = asdict(run)
            path = self.model_path(fields).with_suffix(".json")
            _write(path, json.dumps(fields, indent=1))
        kept = [r for r in self.results.runs if r.key != run.key]
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
            regrouped = store["groups"] != self.results.store["groups"]
        except (ValueError, KeyError, TypeError):
            raise BenchError(
                f"{path}: can't be read; move it away or give another --results"
            ) from None
        if other:
            raise BenchError(
                f"{self._path}: holds results on another store ({store['title']}, fingerprint "
                f"{store['fingerprint'][:12]}); give another --results"
            )
        if regrouped:
            raise BenchError(
                f"{self._path}: holds results with other groups of labels ("
                f"{', '.join(store['label_names'])}); give another --results"
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


def _write(path: Path, text: str) -> None:
    write_durably(path, text.encode())
