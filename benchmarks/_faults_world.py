"""What the fault run does its harm to: images, commands, and what they make undisturbed."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

IMAGES_EACH = 30  # of eight labels
MODELS = ("linear-probe", "pca-svm")
TIMED = {"fit_seconds", "predict_seconds", "peak_memory_mb", "resumed"}
HINT = "Give the same command again to go on."


@dataclass
class Row:
    """A line of the table.

    Attributes
    ----------
    tried : str
    times : int
    lost : list of str
        What was lost, or not as it has to be; empty where all went well.
    ended : str
    """

    tried: str
    times: int = 0
    lost: list[str] = field(default_factory=list)
    ended: str = ""

    def check(self, well: object, otherwise: str) -> None:
        """Note what isn't as it has to be."""
        if not well:
            self.lost.append(otherwise)


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    status: int
    out: str
    err: str
    seconds: float

    @property
    def is_one_line(self) -> bool:
        """Whether it ended with a single line of error, status 1 and no traceback."""
        errors = [line for line in self.err.splitlines() if line.startswith("Error: ")]
        return self.status == 1 and len(errors) == 1 and "Traceback" not in self.err

    @property
    def line(self) -> str:
        """The line that says what was wrong; else the end of what was said."""
        lines = self.err.strip().splitlines() or [""]
        return next((line for line in lines if line.startswith("Error: ")), lines[-1])[:300]


class World:
    """A folder with images, and with the store and the results made of them undisturbed."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.random = folder, random.Random(seed)
        self.photos = folder / "photos"
        self.store, self.results = folder / "whole.zarr", folder / "whole"
        self._copies = 0
        _draw(self.photos)
        self.network = folder / "brief.json"
        self.network.write_text(
            json.dumps(
                {"model": "resnet", "settings": {"epochs": 4}, "dev_accuracy": 0.5}
                | {"store_fingerprint": "", "trials": 1}
            )
        )
        for part in self.parts(self.store, self.results):  # conversions and caches are made once
            ended = self.run(part)
            if ended.status:
                raise SystemExit(f"even undisturbed {part[:2]} fails: {ended.err}")

    def new(self, name: str = "copy") -> Path:
        """Return a path below the folder that is not there yet."""
        self._copies += 1
        return self.folder / f"{name}{self._copies}"

    def copy_store(self) -> Path:
        """Return a copy of the undisturbed store."""
        return Path(shutil.copytree(self.store, self.new("store")))

    def extract(self, store: Path, *more: str) -> list[str]:
        """Return the command that makes the store."""
        small = ("--embed-size", "32", "--engine", "litert")
        return ["extract", str(self.photos), "--store", str(store), *small, *more]

    def fit(self, store: Path, results: Path, *models: str) -> list[str]:
        """Return the command that trains models."""
        where = ("--store", str(store), "--results", str(results))
        return ["run", *(models or MODELS), *where]

    def parts(self, store: Path, results: Path) -> list[list[str]]:
        """Return the three commands of one pass: a store, quick models, a network."""
        network = [*self.fit(store, results, "resnet"), "--preset", str(self.network)]
        return [self.extract(store), self.fit(store, results), network]

    def run(
        self,
        command: Sequence[str],
        after: float | None = None,
        sent: signal.Signals = signal.SIGKILL,
        **more: Any,
    ) -> Ended:
        """Run a command; send its whole process group a signal after some seconds."""
        start = time.monotonic()
        with self.started(command, **more) as process:
            try:
                out, err = process.communicate(timeout=after)
            except subprocess.TimeoutExpired:
                send(process, sent)
                out, err = process.communicate()
        return Ended(process.returncode, out, err, time.monotonic() - start)

    @contextlib.contextmanager
    def started(
        self, command: Sequence[str], environment: dict[str, str] | None = None
    ) -> Iterator[subprocess.Popen[str]]:
        """Start a command in a session of its own, and see to it that none of it stays."""
        process = subprocess.Popen(
            [sys.executable, "-m", "bench", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            cwd=self.folder,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"} | (environment or {}),
        )
        try:
            yield process
        finally:
            send(process, signal.SIGKILL)
            process.wait()

    def store_differs(self, store: Path) -> str:
        """Return in what a store differs from the undisturbed one, or ""."""
        return _differ(_files(self.store), _files(store))

    def results_differ(self, results: Path, models: Sequence[str] = (*MODELS, "resnet")) -> str:
        """Return in what runs of some models differ from the undisturbed ones, or ""."""
        whole = _runs(self.results)
        wanted = {name: run for name, run in whole.items() if name.startswith(tuple(models))}
        return _differ(wanted, _runs(results))


def send(process: subprocess.Popen[str], sent: signal.Signals) -> None:
    """Send a signal to a process and all its children."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, sent)


def left_behind(process: subprocess.Popen[str]) -> bool:
    """Return whether anything of a process' session still runs."""
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


def _draw(photos: Path) -> None:
    from featurestore import MIKELS
    from featurestore.sources._synthetic import names, render

    drawn: Counter[int] = Counter()
    for name, label in names():
        if drawn[label] < IMAGES_EACH:
            place = photos / MIKELS[label] / f"{drawn[label]}.jpg"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(render(name))
            drawn[label] += 1


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _runs(results: Path) -> dict[str, Any]:
    """Return what has to be the same of runs: everything but how long they took."""
    found: dict[str, Any] = dict(_files(results / "runs"))
    for name in found:
        if name.endswith("run.json"):
            run = json.loads(found[name])
            found[name] = {key: value for key, value in run.items() if key not in TIMED}
    return found


def _differ(one: dict[str, Any], other: dict[str, Any]) -> str:
    if missing := sorted(one.keys() - other.keys()):
        return f"{len(missing)} files are missing, {missing[0]} among them"
    if more := sorted(other.keys() - one.keys()):
        return f"{len(more)} files are too many, {more[0]} among them"
    changed = sorted(name for name in one if one[name] != other[name])
    return f"{len(changed)} files differ, {changed[0]} among them" if changed else ""
