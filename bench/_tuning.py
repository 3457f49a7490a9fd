"""Searching for a model's best settings on the dev split."""

import json
import math
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from bench._errors import failure_text, raise_if_stopped
from bench._models import ModelEntry
from bench._predictions import probabilities_of
from bench._progress import TimeIsUpError, fit_progress
from bench._spaces import SPACES, Grid, Space, Value, get_grid
from bench._statistics import wilson
from bench._tuning_curves import dev_curve
from bench._tuning_data import Part, TuningData
from bench._tuning_records import About, Trial
from bench._tuning_study import TENTHS, Running, StudyFolder, distribution
from featurestore._files import sha256_json
from featurestore._rows import Rows
from featurestore._targets import dev_measures
from featurestore.errors import StoreUnreachableError

TRIALS = 50  # of a search, unless told
KEY = 16 * "[0-9a-f]"  # what stands for a trial's settings in a checkpoint's name


@dataclass(frozen=True)
class TuneOptions:
    """How to search.

    Attributes
    ----------
    seed : int
        Of the search and of every model in it.
    trials : int or None
        How many there are to be in all, earlier ones counted. None: 50, or the whole grid.
    timeout : float or None
        Minutes after which nothing more is trained.
    grid : bool
        Whether to repeat the report's grid instead of searching.
    max_epochs : int or None
        No model trains for longer than that.
    """

    seed: int = 0
    trials: int | None = None
    timeout: float | None = None
    grid: bool = False
    max_epochs: int | None = None


@dataclass(frozen=True)
class Plan:
    """What is tried, in which order, and how settings come of it.

    Attributes
    ----------
    about : About
    entry : ModelEntry
    space : Space
    grid : Grid or None
    trials : int
        The most.
    """

    about: About
    entry: ModelEntry
    space: Space
    grid: Grid | None
    trials: int

    @classmethod
    def of(cls, entry: ModelEntry, data: TuningData, options: TuneOptions) -> "Plan":
        """Return what is asked for.

        Raises
        ------
        BenchError
            If the report has no grid of this model.
        """
        grid = get_grid(entry.name) if options.grid else None
        space = SPACES[entry.name]
        if grid:
            parts = [p for p in space.parameters if p.name in grid.parameters]
            space = replace(space, parameters=tuple(parts))
        if options.max_epochs is not None:
            space = space.shortened(options.max_epochs)
            grid = grid and grid.shortened(options.max_epochs)
        base = "report" if grid else entry.preset_for(None, data.synthetic)
        settings = entry.build(options.seed, base).get_params()
        about = About(
            model=entry.name,
            grid=options.grid,
            base=base,
            seed=options.seed,
            max_epochs=options.max_epochs,
            space=sha256_json([space.describe(), grid and grid.points(), settings]),
            dev_images=len(data.dev.y),
            labels=len(data.label_names),
            versions={
                name: version(name) for name in ("emotion-bench", "optuna", *entry.libraries)
            },
            **data.about,
        )
        most = len(grid.points()) if grid else TRIALS
        wanted = most if options.trials is None else options.trials
        return cls(about, entry, space, grid, min(wanted, most) if grid else wanted)

    def ranges(self) -> dict[str, Any]:
        """Return Optuna's distributions by parameter."""
        if self.grid:
            values: dict[str, list[Value]] = {p.name: [] for p in self.space.parameters}
            for point in self.grid.points():
                for name, value in point.items():
                    if value not in values[name]:
                        values[name].append(value)
            parts = (
                replace(p, low=None, high=None, choices=tuple(values[p.name]))
                for p in self.space.parameters
            )
            return {p.name: distribution(p) for p in parts}
        return {p.name: distribution(p) for p in self.space.parameters}

    def choose(self, before: list[Trial]) -> Mapping[str, Value] | bool:
        """Return what ``StudyFolder.begin`` asks for."""
        if len(before) >= self.trials:
            return False
        if self.grid:
            # Not by number: a stopped trial's point may come after those that others took.
            taken = [trial.values for trial in before]
            return next((point for point in self.grid.points() if point not in taken), False)
        return True if before else self.space.first()

    def model(self, values: Mapping[str, Any]) -> Any:
        """Return the model, unfitted, with a trial's settings."""
        model = self.entry.build(self.about.seed, self.about.base)
        model.set_params(**self.space.settings(values))
        limit = self.about.max_epochs
        if limit is not None and "epochs" in model.get_params():
            model.set_params(epochs=min(model.epochs, limit))
        return model


def tune(
    plan: Plan,
    data: TuningData,
    folder: StudyFolder,
    timeout: float | None,
    say: Callable[[str], None],
) -> bool:
    """Run trials until there are as many as planned; return whether there was time for all.

    A trial whose model can't be trained is one that failed, and the search goes on. One that is
    stopped counts as never begun; a network goes on from its last epoch when it is begun again.
    """
    deadline = math.inf if timeout is None else time.monotonic() + 60 * timeout
    while time.monotonic() < deadline:
        running = folder.begin(plan.choose)
        if running is None:
            if all(trial.state != "running" for trial in folder.trials()):
                # Of this search alone: "resnet" is how "resnet-grid" begins, too.
                for left in folder.folder.glob(f".{plan.about.name}-{KEY}.checkpoint.npz"):
                    left.unlink(missing_ok=True)  # of stopped trials that nobody took up
            return True
        try:
            text = _run(plan, data, running, folder.folder, deadline)
        except TimeIsUpError:
            return False
        say(f"trial {running.number} of {plan.trials}: {text}; {values_text(running.values)}")
    return plan.choose(folder.trials()) is False


def values_text(values: Mapping[str, Any]) -> str:
    """Return settings in one line."""
    return ", ".join(f"{name} {value_text(value)}" for name, value in values.items())


def value_text(value: Any) -> str:
    """Return a setting as people write it."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


class _PrunedError(Exception):
    """Others were better at this point."""


def _run(plan: Plan, data: TuningData, running: Running, folder: Path, deadline: float) -> str:
    """Train and measure one model; return what came of it."""
    model = plan.model(running.values)
    settings = model.get_params()
    # By its settings, so that the same trial begun again finds it.
    key = sha256_json(json.loads(json.dumps(settings)))[:16]
    checkpoint = folder / f".{plan.about.name}-{key}.checkpoint.npz"
    more = {"checkpoint": checkpoint} if isinstance(data.train.X, Rows) else {}
    label = f"{plan.about.name}, trial {running.number} of {plan.trials}"
    # A grid is there to be looked at whole.
    prunes = "epochs" in settings and not plan.grid
    begun = time.perf_counter()

    try:
        with warnings.catch_warnings(), fit_progress(label, deadline) as show:
            warnings.simplefilter("ignore")  # libraries' deprecations concern developers

            def step(done: int, total: int, text: str) -> None:
                show(done, total, text)
                if prunes:
                    _report(running, dev_curve(model, checkpoint), settings["epochs"])

            model.fit(data.train.X, data.train.y, data.dev.X, data.dev.y, progress=step, **more)
            if prunes:  # what was stopped after its last epoch isn't told of any more
                _report(running, dev_curve(model, checkpoint), settings["epochs"])
            measured = _measure(model, data)
    except (OSError, StoreUnreachableError):  # the disk's or the network's, not the model's
        raise
    except TimeIsUpError:
        raise
    except _PrunedError:
        running.prune(round(time.perf_counter() - begun, 3))
        text = f"pruned at {running.tenth}/{TENTHS} of its epochs"
    except Exception as error:  # whatever a model raises is its own failure
        raise_if_stopped()
        text = failure_text(error)
        running.fail(text)
        text = f"failed, {text}"
    else:
        seconds = time.perf_counter() - begun
        running.finish(**measured, seconds=round(seconds, 3))
        text = (
            f"dev {100 * measured['dev_accuracy']:.1f} %, log-loss {measured['dev_loss']:.3f} "
            f"({seconds:.1f} s)"
        )
    checkpoint.unlink(missing_ok=True)
    return text


def _report(running: Running, curve: list[float], epochs: int) -> None:
    """Tell how good a model is at each tenth of its epochs that it has passed.

    By tenths, because trials differ in their epochs and the learning rate falls along them.
    """
    for tenth in range(running.tenth + 1, min(TENTHS * len(curve) // epochs + 1, TENTHS)):
        epoch = -(-tenth * epochs // TENTHS)  # the first one that has passed it
        if running.report(tenth, curve[epoch - 1]):
            raise _PrunedError


def _measure(model: Any, data: TuningData) -> dict[str, float]:
    """Return accuracy and log-loss on dev and train."""
    dev, train = (_score(model, part, len(data.label_names)) for part in (data.dev, data.train))
    return dev | {"train_accuracy": train["dev_accuracy"], "train_loss": train["dev_loss"]}


def _score(model: Any, part: Part, labels: int) -> dict[str, float]:
    probabilities = probabilities_of(model, part.X, labels)
    if not np.isfinite(probabilities).all():
        raise ArithmeticError("its probabilities are no numbers; a lower learning rate may help")
    return dev_measures(probabilities, part.y)


def interval(trial: Trial, about: About) -> tuple[float, float]:
    """Return Wilson's interval of a trial's dev accuracy."""
    assert trial.dev_accuracy is not None
    return wilson(round(trial.dev_accuracy * about.dev_images), about.dev_images)
