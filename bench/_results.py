"""The folder of results.

    RESULTS/results.json        all runs: scores, settings, versions, curves, fingerprints
    RESULTS/results.csv .md .tex, accuracy.svg, report.html        the same for people and papers
    RESULTS/runs/<model>-<variant>-seed<seed>-<fingerprint>/
        run.json                the run; written last, so that where it is the run is complete
        predictions.parquet     probabilities for every image of dev and test
        model.npz               the model itself
        checkpoint.npz          while a network is trained
        error.txt               where it failed, the traceback

A folder holds results on one store, with one grouping of its labels. Every file is written aside
and renamed.
"""

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import filelock
from pydantic import ValidationError

from bench._errors import BenchError
from bench._models import MODELS
from bench._predictions import Predictions, read_predictions, write_predictions
from bench._records import FORMAT_VERSION, Results, RunResult, StoreAbout
from featurestore._files import write_durably

# One of these is in every folder that runs or searches have written to.
_OURS = {"results.json", "runs", "tuning", "presets"}


def read_results(folder: Path) -> Results:
    """Return the results that a folder holds.

    Raises
    ------
    BenchError
        If there are none, or they can't be read.
    """
    path = folder / "results.json"
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        missing = "" if folder.exists() else ", as it is not there"
        raise BenchError(
            f"{folder}: holds no results{missing}; `bench run --all --results {folder}` makes some"
        ) from None
    except NotADirectoryError:
        raise BenchError(f"{folder}: is a file; give the folder of results") from None
    try:
        found = Results.model_validate_json(content)
    except ValidationError as error:
        version = _version(content)
        if version and version != FORMAT_VERSION:
            why = f"has format version {version}, and this program reads {FORMAT_VERSION}"
        else:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"])) or "it"
            why = f"can't be read: {place}: {first['msg']}"
        raise BenchError(f"{path}: {why}; move it away or give another --results") from None
    if found.format_version != FORMAT_VERSION:
        raise BenchError(
            f"{path}: has format version {found.format_version}, and this program reads "
            f"{FORMAT_VERSION}; move it away or give another --results"
        )
    return found


def refuse_foreign(folder: Path) -> None:
    """Never write into a store, nor among somebody's files.

    Raises
    ------
    BenchError
    """
    if folder.exists() and not folder.is_dir():
        raise BenchError(f"--results {folder}: is a file; give a folder that is not there yet")
    if any((place / "zarr.json").exists() for place in (folder, *folder.resolve().parents)):
        raise BenchError(f"--results {folder}: lies in a store; give a folder of its own")
    names = {entry.name for entry in folder.iterdir()} if folder.exists() else set()
    if names and not names & _OURS:
        raise BenchError(
            f"--results {folder}: is a folder with other files in it; give one that is not there "
            "yet"
        )


def _version(content: bytes) -> Any:
    from pydantic_core import from_json

    try:
        found = from_json(content)
    except ValueError:
        return None
    return found.get("format_version") if isinstance(found, dict) else None


def runs_folder(folder: Path, run: RunResult) -> Path:
    """Return the folder of one run."""
    return folder / "runs" / run.folder_name


def predictions_of(folder: Path, run: RunResult) -> Predictions | None:
    """Return a run's predictions, or None if they are gone.

    Raises
    ------
    BenchError
        If they can't be read.
    """
    try:
        return read_predictions(runs_folder(folder, run) / "predictions.parquet")
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise BenchError(f"{error}; redo the run with --force") from error


class ResultsFolder:
    """The folder of results on one store, held by this process; use it in a ``with`` statement.

    Parameters
    ----------
    path : Path
    about : StoreAbout
        The store.

    Raises
    ------
    BenchError
        On entering, if it holds results on another store or with other groups, or another process
        writes it.
    """

    def __init__(self, path: Path, about: StoreAbout) -> None:
        self.path = path
        self._lock = filelock.FileLock(path / ".lock", timeout=0)
        self.results = Results(store=about, runs=[])

    def __enter__(self) -> Self:
        refuse_foreign(self.path)
        (self.path / "runs").mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except filelock.Timeout:
            raise BenchError(
                f"{self.path}: another `bench run` is writing here; wait for it or give another "
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

    def find(self, about: RunResult) -> RunResult | None:
        """Return an earlier run that ended well with the same fingerprint, or None.

        One whose predictions or model are gone is none.
        """
        try:
            text = (runs_folder(self.path, about) / "run.json").read_bytes()
            found = RunResult.model_validate_json(text)
        except (FileNotFoundError, ValidationError):  # or cut short by a full disk
            return None
        files = (runs_folder(self.path, about) / n for n in ("predictions.parquet", "model.npz"))
        there = all(path.exists() for path in files)
        return found if there and found.fingerprint == about.fingerprint else None

    def earlier(self, about: RunResult) -> RunResult | None:
        """Return the run in the results that this one would replace, or None."""
        return next((run for run in self.results.runs if run.key == about.key), None)

    def discard(self, about: RunResult) -> None:
        """Let a run count as neither done nor begun."""
        # run.json first: without it, the rest is nothing that anyone relies on.
        for name in ("run.json", "checkpoint.npz", "error.txt"):
            (runs_folder(self.path, about) / name).unlink(missing_ok=True)

    def begin(self, about: RunResult) -> Path:
        """Return the folder of a run to be made."""
        folder = runs_folder(self.path, about)
        folder.mkdir(exist_ok=True)
        (folder / "error.txt").unlink(missing_ok=True)
        return folder

    def commit(self, run: RunResult, predictions: Predictions, label_names: Iterable[str]) -> None:
        """Keep a run that ended well; its model is in its folder."""
        folder = runs_folder(self.path, run)
        write_predictions(folder / "predictions.parquet", predictions, list(label_names))
        write_durably(folder / "run.json", run.model_dump_json(indent=1).encode())
        (folder / "checkpoint.npz").unlink(missing_ok=True)
        self.add(run)

    def add(self, run: RunResult) -> None:
        """List a run in the results, in place of an earlier one of its model, variant and seed."""
        if run in self.results.runs:
            return
        order = list(MODELS)

        def place(r: RunResult) -> tuple[int, str, str, int]:
            return order.index(r.model) if r.model in order else len(order), *r.key

        kept = [r for r in self.results.runs if r.key != run.key]
        self.results.runs[:] = sorted([*kept, run], key=place)
        self.write("results.json", self.results.model_dump_json(indent=1))

    def write(self, name: str, text: str) -> Path:
        """Write one of the folder's files, whole or not at all."""
        write_durably(self.path / name, text.encode())
        return self.path / name

    def _read(self) -> None:
        if not (self.path / "results.json").exists():
            return
        found, here = read_results(self.path), self.results.store
        if found.store.fingerprint != here.fingerprint:
            raise BenchError(
                f"{self.path}: holds results on another store ({found.store.title}, fingerprint "
                f"{found.store.fingerprint[:12]}); give its --store, or another folder"
            )
        if found.store.groups != here.groups:
            raise BenchError(
                f"{self.path}: holds results with other groups of labels ("
                f"{', '.join(found.store.label_names)}); give another --results"
            )
        self.results.runs[:] = found.runs
