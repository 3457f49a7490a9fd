"""Training models on a store, one after the other."""

import json
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from bench._dataset import Dataset, Split
from bench._models import ModelEntry
from bench._progress import fit_progress
from bench._results import ResultsFolder, RunResult
from featurestore import SPLITS
from featurestore._engines import may_have_gpu
from featurestore._files import sha256_json
from featurestore._rows import Rows


@dataclass(frozen=True)
class RunOptions:
    """How models are to be trained.

    Attributes
    ----------
    seed : int
    preset : str or None
        None: "default", but "quick" for networks on drawn images.
    soft_labels : bool
        On the share of people who saw each label; models that can't are skipped.
    class_weight : {"balanced", None}
        Likewise.
    """

    seed: int = 0
    preset: str | None = None
    soft_labels: bool = False
    class_weight: str | None = None

    def variant(self, preset: str) -> str:
        """Return a short text that tells a run from others, the seed apart."""
        parts = [preset]
        if self.soft_labels:
            parts.append("soft-labels")
        if self.class_weight:
            parts.append(self.class_weight)
        return "+".join(parts)


def run_models(
    data: Dataset,
    entries: Sequence[ModelEntry],
    options: RunOptions,
    folder: ResultsFolder,
    say: Callable[[str], None],
) -> list[str]:
    """Run models, keep their results in the folder, and return the names of those that failed.

    A model that fails becomes a row with its reason and doesn't keep the others from running. One
    that ran before with the same fingerprint is not run again.
    """
    failed = []
    for entry in entries:
        preset = entry.preset_for(options.preset, data.store.attributes["source"]["synthetic"])
        model = entry.build(options.seed, preset)
        reason = data.lacks(entry.learns_from) or _unable(model, options)
        if options.class_weight and not reason:
            model.set_params(class_weight=options.class_weight)
        about = _describe(entry, model, options.variant(preset), options, data)
        if reason:
            result = RunResult(**about, **_NOTHING | {"status": "skipped", "reason": reason})
            say(f"{entry.name}: skipped, {reason}")
        elif earlier := folder.find(about):
            result = earlier
            say(f"{entry.name}: kept from an earlier run")
        else:
            splits = data.splits(entry.learns_from)
            say(f"{entry.name}: training on {len(splits['train'].y):,} images ...")
            result = _run(model, data, splits, options, about, folder)
            took = f" ({result.fit_seconds:.1f} s)" if result.fit_seconds is not None else ""
            say(f"{entry.name}: {result.reason or result.status}{took}")
        folder.add(result)
        if result.status == "failed":
            failed.append(entry.name)
    return failed


_NOTHING: dict[str, Any] = {
    "reason": "",
    "fit_seconds": None,
    **{f"{split}_accuracy": None for split in SPLITS},
    "correct": None,
    "total": None,
}


def _unable(model: Any, options: RunOptions) -> str:
    """Return why a model can't be trained as asked, or ""."""
    if options.soft_labels and not model.takes_soft_labels:
        return "it can't learn from soft labels"
    if options.class_weight and "class_weight" not in model.get_params():
        return "it takes no class weights"
    return ""


def _describe(
    entry: ModelEntry, model: Any, variant: str, options: RunOptions, data: Dataset
) -> dict[str, Any]:
    """Return the fields of a RunResult that are known before the run."""
    settings = model.get_params() | {"soft_labels": options.soft_labels, "groups": data.groups}
    if entry.learns_from != "embeddings" and may_have_gpu():
        settings["device"] = "gpu"
    about: dict[str, Any] = {
        "model": entry.name,
        "variant": variant,
        "seed": options.seed,
        "settings": json.loads(json.dumps(settings)),  # as it will be read back: lists, no tuples
        "versions": {name: version(name) for name in ("emotion-bench", *entry.libraries)},
        "store_fingerprint": data.store.fingerprint,
    }
    return about | {"fingerprint": sha256_json(about)}


def _run(
    model: Any,
    data: Dataset,
    splits: dict[str, Split],
    options: RunOptions,
    about: dict[str, Any],
    folder: ResultsFolder,
) -> RunResult:
    outcome: dict[str, Any] = _NOTHING | {"status": "ok"}
    checkpoint = folder.model_path(about).with_suffix(".checkpoint.npz")
    try:
        train, dev = splits["train"], splits["dev"]
        more: dict[str, Any] = {}
        if isinstance(train.X, Rows):
            more["checkpoint"] = checkpoint
        if options.soft_labels:
            # A label that no training image has is none that a model could learn.
            more["soft_labels"] = train.strength[:, np.unique(train.y)]
        start = time.perf_counter()
        with warnings.catch_warnings(), fit_progress(about["model"]) as progress:
            warnings.simplefilter("ignore")  # libraries' deprecations concern developers
            on_dev = (dev.X, dev.y) if len(dev.y) else ()
            model.fit(train.X, train.y, *on_dev, progress=progress, **more)
        outcome["fit_seconds"] = round(time.perf_counter() - start, 3)
        for name, split in splits.items():
            if len(split.y):
                hits = int((model.predict(split.X) == split.y).sum())
                outcome[f"{name}_accuracy"] = hits / len(split.y)
                if name == "test":
                    outcome |= {"correct": hits, "total": len(split.y)}
        model.save(
            folder.model_path(about),
            fingerprint=data.store.fingerprint,
            label_names=data.label_names,
        )
        checkpoint.unlink(missing_ok=True)
    except OSError:  # a full disk is no failure of the model
        raise
    except Exception as error:  # whatever a model raises is its own failure
        text = " ".join(str(error).split()) or "no reason given"
        outcome |= _NOTHING | {
            "status": "failed",
            "reason": f"{type(error).__name__}: {text}"[:300],
        }
    history, search = getattr(model, "history_", {}), getattr(model, "search_", [])
    return RunResult(**about, **outcome, history=history, search=search)
