"""Training models on a store, one after the other."""

import hashlib
import json
import time
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt

from bench._models import ModelEntry
from bench._results import ResultsFolder, RunResult
from featurestore import SPLITS, FeatureStore

Split = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]


def run_models(
    store: FeatureStore,
    entries: Sequence[ModelEntry],
    seed: int,
    folder: ResultsFolder,
    say: Callable[[str], None],
) -> list[str]:
    """Run models, keep their results in the folder, and return the names of those that failed.

    A model that fails becomes a row with its reason and doesn't keep the others from running. One
    that ran before with the same fingerprint is not run again.
    """
    data: dict[str, Split] = {}
    failed = []
    for entry in entries:
        model = entry.build(seed)
        about = _describe(entry, model, seed, store)
        result = folder.find(entry.name, seed, about["fingerprint"])
        if result is not None:
            say(f"{entry.name}: kept from an earlier run")
        else:
            say(f"{entry.name}: training on {len(store.rows('train')):,} images ...")
            data = data or _load(store)
            result = _run(model, data, about)
            took = f" ({result.fit_seconds:.1f} s)" if result.fit_seconds is not None else ""
            say(f"{entry.name}: {result.reason or result.status}{took}")
        folder.add(result)
        if result.status == "failed":
            failed.append(entry.name)
    return failed


def _describe(entry: ModelEntry, model: Any, seed: int, store: FeatureStore) -> dict[str, Any]:
    """Return the fields of a RunResult that are known before the run."""
    about: dict[str, Any] = {
        "model": entry.name,
        "seed": seed,
        "settings": model.get_params(),
        "versions": {name: version(name) for name in ("emotion-bench", *entry.libraries)},
        "store_fingerprint": store.fingerprint,
    }
    text = json.dumps(about, sort_keys=True)
    return about | {"fingerprint": hashlib.sha256(text.encode()).hexdigest()}


def _load(store: FeatureStore) -> dict[str, Split]:
    X, y = store.read(f"embeddings/{store.backbones[0]}"), store.labels
    return {split: (X[store.rows(split)], y[store.rows(split)]) for split in SPLITS}


def _run(model: Any, data: dict[str, Split], about: dict[str, Any]) -> RunResult:
    outcome: dict[str, Any] = {
        "status": "ok",
        "reason": "",
        "fit_seconds": None,
        **{f"{split}_accuracy": None for split in SPLITS},
        "correct": None,
        "total": None,
    }
    try:
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # libraries' deprecations concern developers
            model.fit(*data["train"], *(data["dev"] if len(data["dev"][1]) else ()))
        outcome["fit_seconds"] = round(time.perf_counter() - start, 3)
        for split, (X, y) in data.items():
            if len(y):
                hits = int((model.predict(X) == y).sum())
                outcome[f"{split}_accuracy"] = hits / len(y)
                if split == "test":
                    outcome |= {"correct": hits, "total": len(y)}
    except Exception as error:  # whatever a model raises is its own failure
        text = " ".join(str(error).split()) or "no reason given"
        outcome |= {"status": "failed", "reason": f"{type(error).__name__}: {text}"[:300]}
    return RunResult(**about, **outcome, history=getattr(model, "history_", {}))
