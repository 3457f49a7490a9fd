"""A study on disk: Optuna's journal, which is lines of JSON, and who is at work on it.

    RESULTS/tuning/<study>.journal          all trials; a line is appended whenever anything happens
    RESULTS/tuning/.<study>.lock            held while a line is written or a trial is begun
    RESULTS/tuning/.<study>-<worker>.lock   held as long as a process runs trials

The system lets go of a dead process' locks, so that its trial is known to be nobody's and is begun
again. Several processes may run trials of one study at once.
"""

import dataclasses
import os
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import filelock
import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from bench._errors import BenchError
from bench._spaces import Parameter, Value
from bench._tuning_records import About, Trial

STUDY = "tuning"  # what the one study of a journal is called
# A trial is compared with others at each tenth of its epochs; not before five others are done, nor
# in its first fifth, where a low learning rate always looks bad.
TENTHS, PRUNE_AFTER, PRUNE_FROM = 10, 5, 2
KEPT = ("dev_loss", "train_accuracy", "train_loss", "seconds")


def distribution(parameter: Parameter) -> BaseDistribution:
    """Return a parameter's range as Optuna has it."""
    low, high = parameter.low, parameter.high
    if low is None or high is None:
        return CategoricalDistribution(parameter.choices)
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=parameter.log)
    return FloatDistribution(low, high, log=parameter.log)


class Given(optuna.samplers.BaseSampler):
    """A sampler that has nothing to choose."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = values

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return nothing: no parameter depends on another."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: Any
    ) -> Any:
        """Return the value that was given."""
        return self._values[param_name]


class StudyFolder:
    """A study that this process runs trials of; use it in a ``with`` statement.

    Parameters
    ----------
    folder : Path
        RESULTS/tuning.
    about : About
    ranges : dict of BaseDistribution

    Raises
    ------
    BenchError
        On entering, if there is a study on something else, or one that can't be read.
    """

    def __init__(self, folder: Path, about: About, ranges: dict[str, BaseDistribution]) -> None:
        self.folder, self.about, self._ranges = folder, about, ranges
        self._lock = filelock.FileLock(folder / f".{about.name}.lock")
        self._worker = uuid.uuid4().hex[:12]
        self._alive = self._worker_lock(self._worker)
        self._study: Study

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._alive.acquire()
        try:
            with self._lock:
                _cut_torn_line(self.path)
                study = _open(self.path, self._lock, begin=True)
                assert study is not None
                self._study = study
                there = self._study.user_attrs.get("about")
                if there is None:
                    self._study.set_user_attr("about", dataclasses.asdict(self.about))
                elif why := _differs(there, dataclasses.asdict(self.about)):
                    raise BenchError(
                        f"{self.path}: was begun with {why}; give another --results, or move the "
                        "file away to begin anew"
                    )
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave()

    @property
    def path(self) -> Path:
        """The journal."""
        return self.folder / f"{self.about.name}.journal"

    def trials(self) -> list[Trial]:
        """Return all trials, also those that others are running."""
        return _trials(self._study)

    def begin(
        self, choose: Callable[[list[Trial]], Mapping[str, Value] | bool]
    ) -> "Running | None":
        """Begin a trial.

        Parameters
        ----------
        choose : callable
            Takes the trials that there are and returns the values of the next one; or True: let
            them be suggested by what the others reached; or False: there is nothing left to do.
        """
        with self._lock:
            self._take_up()
            before = self.trials()
            values = choose(before)
            if values is False:
                return None
            number = len(before)
            # What is suggested depends on the seed and on the trials before, and on nothing that a
            # stop would lose.
            seed = int(np.random.SeedSequence([self.about.seed, number]).generate_state(1)[0])
            self._study.sampler = (
                optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
                if values is True
                else Given(values)
            )
            trial = self._study.ask(self._ranges)
            trial.set_user_attr("worker", self._worker)
        return Running(self._study, trial, number + 1)

    def _take_up(self) -> None:
        """End the trials of processes that are no more; they count as never begun."""
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            worker = trial.user_attrs.get("worker")
            if worker is None or worker == self._worker or self._is_dead(worker):
                self._study.tell(trial.number, state=TrialState.FAIL)

    def _is_dead(self, worker: str) -> bool:
        lock = self._worker_lock(worker)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            return False
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)
        return True

    def _worker_lock(self, worker: str) -> filelock.BaseFileLock:
        return filelock.FileLock(self.folder / f".{self.about.name}-{worker}.lock")

    def _leave(self) -> None:
        self._alive.release()
        Path(self._alive.lock_file).unlink(missing_ok=True)


class Running:
    """A trial that this process runs.

    Attributes
    ----------
    number : int, from 1 on
    values : dict
        Of the parameters that are searched.
    """

    def __init__(self, study: Study, trial: optuna.Trial, number: int) -> None:
        self._study, self._trial = study, trial
        self.number, self.values = number, dict(trial.params)
        self.tenth = 0

    def report(self, tenth: int, dev_accuracy: float) -> bool:
        """Keep how good it is so far; return whether it is worse than half of the others were."""
        self.tenth = tenth
        self._trial.report(dev_accuracy, tenth)
        return self._trial.should_prune()

    def finish(self, dev_accuracy: float, **measured: float) -> None:
        """End it well; ``measured`` are those of ``KEPT``."""
        for name, value in measured.items():
            self._trial.set_user_attr(name, value)
        self._study.tell(self._trial, dev_accuracy)

    def prune(self, seconds: float) -> None:
        """End it where it is, because others were better there."""
        self._trial.set_user_attr("seconds", seconds)
        self._study.tell(self._trial, state=TrialState.PRUNED)

    def fail(self, reason: str) -> None:
        """End it as one that its model could not be trained with."""
        self._trial.set_user_attr("reason", reason)
        self._study.tell(self._trial, state=TrialState.FAIL)


def read_study(path: Path) -> tuple[About, list[Trial]]:
    """Return what a journal holds.

    Raises
    ------
    BenchError
        If it can't be read, or is none of ``bench tune``'s.
    """
    study = _open(path, filelock.FileLock(path.with_name(f".{path.stem}.lock")))
    try:
        about = About(**(study.user_attrs["about"] if study else {}))
    except (KeyError, TypeError):
        raise BenchError(f"{path}: is no journal of this `bench tune`; move it away") from None
    return about, _trials(study) if study else []


class _JournalLock:
    """The study's lock as a journal asks for it; whoever holds it already is let in."""

    def __init__(self, lock: filelock.BaseFileLock) -> None:
        self._lock = lock

    def acquire(self) -> bool:
        """Wait for the lock."""
        self._lock.acquire()
        return True

    def release(self) -> None:
        """Give it back."""
        self._lock.release()


def _open(path: Path, lock: filelock.BaseFileLock, *, begin: bool = False) -> Study | None:
    """Return the study of a journal; if there is none, a new one or None."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it tells of each trial; so do we
    pruner = optuna.pruners.MedianPruner(PRUNE_AFTER, PRUNE_FROM)
    try:
        storage = JournalStorage(JournalFileBackend(str(path), _JournalLock(lock)))  # type: ignore[arg-type]
        # Opening would append a line otherwise.
        if STUDY in optuna.get_all_study_names(storage):
            return optuna.load_study(study_name=STUDY, storage=storage, pruner=pruner)
        if not begin:
            return None
        return optuna.create_study(
            study_name=STUDY, storage=storage, pruner=pruner, direction="maximize"
        )
    except (ValueError, KeyError, AssertionError, TypeError) as error:
        text = " ".join(str(error).split())
        raise BenchError(f"{path}: can't be read ({text}); move it away to begin anew") from None


def _cut_torn_line(path: Path) -> None:
    """Cut off what a full disk or a power cut left of a last line."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            file.truncate(whole)
            file.flush()
            os.fsync(file.fileno())


def _trials(study: Study) -> list[Trial]:
    """Return trials by number, without those that were cut short."""
    found: list[Trial] = []
    for trial in study.get_trials(deepcopy=False):
        attributes = trial.user_attrs
        more: dict[str, Any] = {}
        if trial.state == TrialState.COMPLETE:
            more = {"state": "ok", "dev_accuracy": trial.value}
        elif trial.state == TrialState.PRUNED:
            step = trial.last_step
            assert step is not None
            more = {
                **{"state": "pruned", "dev_accuracy": trial.intermediate_values[step]},
                "reason": f"at {step}/{TENTHS} of its epochs",
            }
        elif trial.state == TrialState.RUNNING:
            more = {"state": "running"}
        elif "reason" in attributes:
            more = {"state": "failed", "reason": attributes["reason"]}
        else:  # cut short
            continue
        more |= {name: attributes[name] for name in KEPT if name in attributes}
        found.append(Trial(len(found) + 1, values=dict(trial.params), **more))
    return found


def _differs(there: dict[str, Any], now: dict[str, Any]) -> str:
    """Return in what a study differs from what is asked for, or ""."""
    words = {
        "store_fingerprint": "another store",
        "groups": "other groups of labels",
        "seed": f"--seed {there.get('seed')}",
        "max_epochs": f"--max-epochs {there.get('max_epochs') or 'left out'}",
        "space": "other ranges or defaults (of another version of this program)",
    }
    for name, text in words.items():
        if there.get(name) != now[name]:
            return text
    before = there.get("versions") or now["versions"]  # earlier studies don't say
    changed = [
        f"{name} {before.get(name, 'none')} -> {now['versions'].get(name, 'none')}"
        for name in dict.fromkeys([*before, *now["versions"]])
        if before.get(name) != now["versions"].get(name)
    ]
    if changed:
        return f"other versions ({', '.join(changed)})"
    return "" if there | {"versions": before} == now else "another version of this program"
