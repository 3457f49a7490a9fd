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
    if options.force:
        _discard(data, entries, options, folder)
    deadline = math.inf
    if options.time_budget is not None:
        deadline = time.monotonic() + 60 * options.time_budget
    outcome = Outcome()
    for seed in range(options.seed, options.seed + options.seeds):
        for entry in entries:
            name = entry.name if options.seeds == 1 else f"{entry.name}, seed {seed}"
            result = _run_one(data, entry, seed, options, folder, deadline, name, say)
            if result.status == "failed":
                outcome.failed.append(name)
            elif result.status == "unfinished":
                outcome.unfinished.append(name)
    return outcome


def _run_one(
    data: Dataset,
    entry: ModelEntry,
    seed: int,
    options: RunOptions,
    folder: ResultsFolder,
    deadline: float,
    name: str,
    say: Callable[[str], None],
) -> RunResult:
    """Run one model with one seed, unless that is done or can't be; list and return the result."""
    model, about, reason = _prepare(data, entry, seed, options)
    if reason:
        result = about.model_copy(update={"status": "skipped", "reason": reason})
        if seed == options.seed:
            say(f"{entry.name}: skipped, {reason}")
    elif found := folder.find(about):
        result = found
        say(f"{name}: kept from an earlier run")
    elif time.monotonic() >= deadline:
        return _unfinished("not begun", about, options, folder, name, say)
    else:
        if why := _what_changed(about, folder.earlier(about)):
            say(f"{name}: {why}; its earlier result is replaced")
        splits = data.splits(entry.learns_from)
        say(f"{name}: training on {len(splits['train'].y):,} images ...")
        return _train(model, data, splits, options, about, folder, deadline, name, say)
    folder.add(result)
    return result


def _discard(
    data: Dataset, entries: Sequence[ModelEntry], options: RunOptions, folder: ResultsFolder
) -> None:
    """Let no run count as done or begun; what the results list stays until there is better."""
    for seed in range(options.seed, options.seed + options.seeds):
        for entry in entries:
            _, about, _ = _prepare(data, entry, seed, options)
            folder.begin(about, anew=True)


def _prepare(
    data: Dataset, entry: ModelEntry, seed: int, options: RunOptions
) -> tuple[Any, RunResult, str]:
    """Return the model, its result as far as it is known before the run, and why it can't run."""
    preset = entry.preset_for(options.preset, data.store.attributes["source"]["synthetic"])
    settings = None
    if options.saved and options.saved[1].model == entry.name:
        preset, settings = options.saved[0], options.saved[1].settings
    model = entry.build(seed, preset, settings)
    reason = data.lacks(entry.learns_from) or _unable(model, options)
    if options.class_weight and not reason:
        model.set_params(class_weight=options.class_weight)
    return model, _describe(entry, model, seed, options.variant(preset), options, data), reason


def _unfinished(
    what: str,
    about: RunResult,
    options: RunOptions,
    folder: ResultsFolder,
    name: str,
    say: Callable[[str], None],
) -> RunResult:
    """Return the result of a run that the time was not enough for.

    It is listed unless an earlier one that ended well is: a score is worth more than none.
    """
    reason = f"the time budget was used up; give {options.again} to go on"
    result = about.model_copy(update={"status": "unfinished", "reason": reason})
    earlier = folder.earlier(about)
    text = f"{name}: {what}, the time budget is used up"
    if earlier is not None and earlier.status == "ok":
        say(f"{text}; its earlier result stays")
    else:
        folder.add(result)
        say(text)
    return result


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


def _train(
    model: Any,
    data: Dataset,
    splits: dict[str, Split],
    options: RunOptions,
    about: RunResult,
    folder: ResultsFolder,
    deadline: float,
    name: str,
    say: Callable[[str], None],
) -> RunResult:
    """Train a model and keep what it learned and predicts; or why it did not."""
    place = folder.begin(about, anew=False)
    checkpoint = place / "checkpoint.npz"
    there = checkpoint.exists()
    first: list[int] = []  # the step that the fit first told of
    begun = time.perf_counter()
    try:
        with (
            warnings.catch_warnings(),
            peak_memory() as memory,
            fit_progress(about.model, deadline) as show,
        ):

            def progress(done: int, total: int, text: str) -> None:
                if not first:
                    first.append(done)
                show(done, total, text)

            warnings.simplefilter("ignore")  # libraries' deprecations concern developers
            _fit(model, splits, options, checkpoint, progress)
            fit_seconds = time.perf_counter() - begun
            predicted = time.perf_counter()
            predictions = _predict(model, data, splits)
            predict_seconds = time.perf_counter() - predicted
            train_accuracy = _train_accuracy(model, splits)
        model.save(
            place / "model.npz",
            fingerprint=data.store.fingerprint,
            label_names=data.label_names,
        )
    except (OSError, StoreUnreachableError):  # the disk's or the network's, not the model's
        raise
    except TimeIsUpError:
        return _unfinished("stopped", about, options, folder, name, say)
    except Exception as error:  # whatever a model raises is its own failure
        raise_if_stopped()
        return _failed(error, about, folder, place, name, say)
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
            # A checkpoint of other settings or data is begun over; one of the end has no step left.
            "resumed": there and (not first or first[0] > 1),
            "history": _finite(getattr(model, "history_", {})),
            "search": getattr(model, "search_", []),
        }
    )
    folder.commit(result, predictions, data.label_names)
    say(f"{name}: ok ({fit_seconds:.1f} s)")
    return result


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


def _failed(
    error: Exception,
    about: RunResult,
    folder: ResultsFolder,
    place: Path,
    name: str,
    say: Callable[[str], None],
) -> RunResult:
    reason = failure_text(error)
    (place / "error.txt").write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    result = about.model_copy(update={"status": "failed", "reason": reason})
    folder.add(result)
    say(f"{name}: {reason} (see {place / 'error.txt'})")
    return result


def _finite(history: dict[str, list[float]]) -> dict[str, list[float | None]]:
    """Return curves as JSON can hold them: what is not a number is None."""
    return {k: [v if math.isfinite(v) else None for v in values] for k, values in history.items()}
