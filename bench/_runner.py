"""Training models on a store, one after the other."""

import json
import math
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench._dataset import Dataset, Split
from bench._errors import failure_text, raise_if_stopped
from bench._memory import peak_memory
from bench._models import ModelEntry
from bench._predictions import Predictions, probabilities_of
from bench._presets import Preset
from bench._progress import TimeIsUpError, fit_progress
from bench._provenance import source_digest, this_machine
from bench._records import RunResult
from bench._results import ResultsFolder
from bench._statistics import score
from featurestore._engines import may_have_gpu
from featurestore._files import sha256_json
from featurestore._rows import Rows
from featurestore.errors import StoreUnreachableError

PREDICTED = ("dev", "test")


@dataclass(frozen=True)
class RunOptions:
    """How models are to be trained.

    Attributes
    ----------
    seed : int
    seeds : int
        How many: seed, seed + 1, ...
    preset : str or None
        None: "default", but "quick" for networks on drawn images.
    saved : (str, Preset) or None
        A preset of one model with its name, to be used for that model.
    soft_labels : bool
        On the share of people who saw each label; models that can't are skipped.
    class_weight : {"balanced", None}
        Likewise.
    force : bool
        Whether to redo what ran before. It is discarded first: what is stopped then goes on
        without this.
    time_budget : float or None
        Minutes after which nothing more is trained.
    """

    seed: int = 0
    seeds: int = 1
    preset: str | None = None
    saved: tuple[str, Preset] | None = None
    soft_labels: bool = False
    class_weight: str | None = None
    force: bool = False
    time_budget: float | None = None

    @property
    def again(self) -> str:
        """What to give to go on."""
        return "the same command again" + (" without --force" if self.force else "")

    def variant(self, preset: str) -> str:
        """Return a short text that tells a run from others, the seed apart."""
        parts = [preset]
        if self.soft_labels:
            parts.append("soft-labels")
        if self.class_weight:
            parts.append(self.class_weight)
        return "+".join(parts)


@dataclass
class Outcome:
    """Runs that did not end well, as "model" or "model, seed 3"."""

    failed: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)


def run_models(
    data: Dataset,
    entries: Sequence[ModelEntry],
    options: RunOptions,
    folder: ResultsFolder,
    say: Callable[[str], None],
) -> Outcome:
    """Run models with each seed, and keep their results in the folder.

    A model that fails becomes a row with its reason and doesn't keep the others from running. One
    that ran before with the same fingerprint is not run again. All models have their first seed
    before any has its second, so that a table is there early.
    """
    deadline = math.inf
    if options.time_budget is not None:
        deadline = time.monotonic() + 60 * options.time_budget
    runner = _Runner(data, options, folder, deadline, say)
    planned = [
        (entry, seed)
        for seed in range(options.seed, options.seed + options.seeds)
        for entry in entries
    ]
    if options.force:
        for entry, seed in planned:
            runner.discard(entry, seed)
    outcome = Outcome()
    for entry, seed in planned:
        name = entry.name if options.seeds == 1 else f"{entry.name}, seed {seed}"
        result = runner.run(entry, seed, name)
        if result.status == "failed":
            outcome.failed.append(name)
        elif result.status == "unfinished":
            outcome.unfinished.append(name)
    return outcome


@dataclass(frozen=True)
class _Runner:
    """What every run needs.

    Attributes
    ----------
    data : Dataset
    options : RunOptions
    folder : ResultsFolder
    deadline : float
        A time of ``time.monotonic``.
    say : callable
        Told in a line what becomes of each run.
    """

    data: Dataset
    options: RunOptions
    folder: ResultsFolder
    deadline: float
    say: Callable[[str], None]

    def discard(self, entry: ModelEntry, seed: int) -> None:
        """Let no run count as done or begun; what the results list stays until there is better."""
        _, about, reason = self._prepare(entry, seed)
        if not reason:
            self.folder.discard(about)

    def run(self, entry: ModelEntry, seed: int, name: str) -> RunResult:
        """Run one model with one seed, unless that is done or can't be; list and return the result.

        ``name`` is what it is called in what is said.
        """
        model, about, reason = self._prepare(entry, seed)
        if reason:
            once = f"{entry.name}: skipped, {reason}" if seed == self.options.seed else ""
            return self._list(about, once, status="skipped", reason=reason)
        if found := self.folder.find(about):
            return self._list(found, f"{name}: kept from an earlier run")
        if time.monotonic() >= self.deadline:
            return self._unfinished(about, f"{name}: not begun, the time budget is used up")
        if why := _what_changed(about, self.folder.earlier(about)):
            self.say(f"{name}: {why}; its earlier result is replaced")
        splits = self.data.splits(entry.learns_from)
        self.say(f"{name}: training on {len(splits['train'].y):,} images ...")
        return self._train(model, splits, about, name)

    def _prepare(self, entry: ModelEntry, seed: int) -> tuple[Any, RunResult, str]:
        """Return the model, its result as far as that is known, and why it can't be run, or ""."""
        data, options = self.data, self.options
        preset = entry.preset_for(options.preset, data.store.attributes["source"]["synthetic"])
        settings = None
        if options.saved and options.saved[1].model == entry.name:
            preset, settings = options.saved[0], options.saved[1].settings
        model = entry.build(seed, preset, settings)
        reason = data.lacks(entry.learns_from) or _unable(model, options)
        if options.class_weight and not reason:
            model.set_params(class_weight=options.class_weight)
        about = _describe(entry, model, seed, options.variant(preset), options, data)
        return model, about, reason

    def _list(self, about: RunResult, text: str, **changed: Any) -> RunResult:
        """List and return a result with such fields, and say so if there is a text."""
        result = about.model_copy(update=changed)
        self.folder.add(result)
        if text:
            self.say(text)
        return result

    def _unfinished(self, about: RunResult, text: str) -> RunResult:
        """Return the result of a run that the time was not enough for.

        It is listed unless an earlier one that ended well is: a score is worth more than none.
        """
        reason = f"the time budget was used up; give {self.options.again} to go on"
        changed: dict[str, Any] = {"status": "unfinished", "reason": reason}
        earlier = self.folder.earlier(about)
        if earlier is None or earlier.status != "ok":
            return self._list(about, text, **changed)
        self.say(f"{text}; its earlier result stays")
        return about.model_copy(update=changed)

    def _train(
        self, model: Any, splits: dict[str, Split], about: RunResult, name: str
    ) -> RunResult:
        """Train a model and keep what it learned and predicts; or why it did not."""
        place = self.folder.begin(about)
        checkpoint = place / "checkpoint.npz"
        there = checkpoint.exists()
        first: list[int] = []  # the step that the fit first told of
        begun = time.perf_counter()
        try:
            with (
                warnings.catch_warnings(),
                peak_memory() as memory,
                fit_progress(about.model, self.deadline) as show,
            ):

                def progress(done: int, total: int, text: str) -> None:
                    if not first:
                        first.append(done)
                    show(done, total, text)

                warnings.simplefilter("ignore")  # libraries' deprecations concern developers
                _fit(model, splits, self.options, checkpoint, progress)
                fit_seconds = time.perf_counter() - begun
                predicted = time.perf_counter()
                predictions = _predict(model, self.data, splits)
                predict_seconds = time.perf_counter() - predicted
                train_accuracy = _train_accuracy(model, splits)
            model.save(
                place / "model.npz",
                fingerprint=self.data.store.fingerprint,
                label_names=self.data.label_names,
            )
        except (OSError, StoreUnreachableError):  # the disk's or the network's, not the model's
            raise
        except TimeIsUpError:
            return self._unfinished(about, f"{name}: stopped, the time budget is used up")
        except Exception as error:  # whatever a model raises is its own failure
            raise_if_stopped()
            return self._failed(error, about, place, name)
        scores = {}
        for split in PREDICTED:
            here = predictions.of(split)
            if len(here.label):
                scores[split] = score(here.label, here.probabilities)
        result = about.model_copy(
            update={
                **scores,
                "train_accuracy": train_accuracy,
                "fit_seconds": round(fit_seconds, 3),
                "predict_seconds": round(predict_seconds, 3),
                "peak_memory_mb": round(memory.megabytes, 1),
                # A checkpoint of other data is begun over; with one of the end no step is left.
                "resumed": there and (not first or first[0] > 1),
                "history": _finite(getattr(model, "history_", {})),
                "search": getattr(model, "search_", []),
            }
        )
        self.folder.commit(result, predictions, self.data.label_names)
        self.say(f"{name}: ok ({fit_seconds:.1f} s)")
        return result

    def _failed(self, error: Exception, about: RunResult, place: Path, name: str) -> RunResult:
        reason, path = failure_text(error), place / "error.txt"
        path.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
        return self._list(about, f"{name}: {reason} (see {path})", status="failed", reason=reason)


def _unable(model: Any, options: RunOptions) -> str:
    """Return why a model can't be trained as asked, or ""."""
    if options.soft_labels and not model.takes_soft_labels:
        return "it can't learn from soft labels"
    if options.class_weight and "class_weight" not in model.get_params():
        return "it takes no class weights"
    return ""


def _describe(
    entry: ModelEntry, model: Any, seed: int, variant: str, options: RunOptions, data: Dataset
) -> RunResult:
    """Return the result as far as it is known before the run."""
    settings = model.get_params() | {"soft_labels": options.soft_labels, "groups": data.groups}
    gpu = entry.learns_from != "embeddings" and may_have_gpu()
    if gpu:
        settings["device"] = "gpu"
    about: dict[str, Any] = {
        "model": entry.name,
        "variant": variant,
        "seed": seed,
        "settings": json.loads(json.dumps(settings)),  # as it will be read back: lists, no tuples
        "versions": {name: version(name) for name in ("emotion-bench", *entry.libraries)},
        "store_fingerprint": data.store.fingerprint,
    }
    return RunResult(
        **about,
        fingerprint=sha256_json(about),
        status="ok",
        reason="",
        code=source_digest(),
        machine=this_machine(gpu),
    )


def _what_changed(now: RunResult, before: RunResult | None) -> str:
    """Return in what a run differs from an earlier one that ended well, or ""."""
    if before is None or before.status != "ok" or before.fingerprint == now.fingerprint:
        return ""
    changed = [
        f"{name} {before.versions.get(name, 'none')} -> {value}"
        for name, value in now.versions.items()
        if before.versions.get(name) != value
    ]
    changed += [
        f"{name} {before.settings.get(name)} -> {value}"
        for name, value in now.settings.items()
        if before.settings.get(name) != value
    ]
    return f"other settings or versions than before ({', '.join(changed)})"


def _fit(
    model: Any,
    splits: dict[str, Split],
    options: RunOptions,
    checkpoint: Path,
    progress: Callable[[int, int, str], None],
) -> None:
    train, dev = splits["train"], splits["dev"]
    more: dict[str, Any] = {}
    if isinstance(train.X, Rows):
        more["checkpoint"] = checkpoint
    if options.soft_labels:
        more["soft_labels"] = _votes(train)
    on_dev = (dev.X, dev.y) if len(dev.y) else ()
    model.fit(train.X, train.y, *on_dev, progress=progress, **more)


def _votes(train: Split) -> npt.NDArray[np.float32]:
    """Return the votes for the labels that training images have, float32 (n, labels there).

    A label that none has is none that a model could learn. An image with votes for none of them, as
    where nobody agreed with its label, has its label alone.
    """
    there, place = np.unique(train.y, return_inverse=True)
    votes = train.strength[:, there]  # a copy
    none = np.flatnonzero(~votes.any(axis=1))
    votes[none, place[none]] = 1
    return votes


def _predict(model: Any, data: Dataset, splits: dict[str, Split]) -> Predictions:
    """Return predictions for dev and test."""
    parts = [splits[name] for name in PREDICTED]
    rows = np.concatenate([part.rows for part in parts])
    labels = len(data.label_names)
    probabilities = [probabilities_of(model, part.X, labels) for part in parts]
    return Predictions(
        np.repeat(PREDICTED, [len(part.y) for part in parts]),
        data.image_ids[rows],
        rows,
        np.concatenate([part.y for part in parts]),
        np.concatenate(probabilities),
    )


def _train_accuracy(model: Any, splits: dict[str, Split]) -> float:
    """Return the accuracy on what was learned from.

    For networks on as many images of it as the larger of dev and test has, if those are fewer: that
    is as exact as theirs, and telling all apart would take as long as epochs of training.
    """
    train = splits["train"]
    X, y = train.X, train.y
    enough = max(len(splits[name].y) for name in PREDICTED)
    if isinstance(X, Rows) and 0 < enough < len(y):
        X, y = X[:enough], y[:enough]  # a store's rows are in random order
    return float((model.predict(X) == y).mean())


def _finite(history: dict[str, list[float]]) -> dict[str, list[float | None]]:
    """Return curves as JSON can hold them: what is not a number is None."""
    return {k: [v if math.isfinite(v) else None for v in values] for k, values in history.items()}
