"""The report's data sheet of the store, and where each run comes from."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bench._advice import advise
from bench._records import RunResult
from bench._report_parts import Table
from bench._show_store import fates, label_counts, near_duplicates_text
from bench._tables import title_of
from featurestore import SPLITS, FeatureStore

Facts = list[tuple[str, str]]
Manifest = dict[str, npt.NDArray[Any]]  # a column (records, ...) each


@dataclass(frozen=True)
class DataSheet:
    """What there is to know about a store."""

    counts: Table
    records: Table
    facts: Facts


def data_sheet(store: FeatureStore) -> DataSheet:
    """Return the data sheet of a store."""
    manifest = store.manifest()
    return DataSheet(_counts(store), _records(manifest), _facts(store, manifest))


def _counts(store: FeatureStore) -> Table:
    rows = [[name, *(f"{count:,}" for count in counts)] for name, *counts in label_counts(store)]
    return Table(
        "images by label and split",
        "Images by label and split",
        ("label", *SPLITS, "all"),
        rows,
        strong=frozenset((len(rows) - 1, column) for column in range(len(SPLITS) + 2)),
    )


def _records(manifest: Manifest) -> Table:
    most_first = sorted(fates(manifest).items(), key=lambda each: (-each[1], each[0]))
    rows = [
        [status.replace("_", " "), kind.replace("_", " "), f"{count:,}", advise(kind)]
        for (status, kind), count in most_first
    ]
    return Table(
        "what became of the source's records",
        "What became of the source's records",
        ("records", "why", "count", "what to do"),
        rows,
        frozenset({0, 1, 3}),
    )


def _facts(store: FeatureStore, manifest: Manifest) -> Facts:
    source, settings = store.attributes["source"], store.attributes["settings"]
    weak = int(store.is_weak.sum())
    facts = [
        ("source", f"{source['title']} ({source['kind']}, {source['records']:,} records)"),
        ("images in the store", f"{len(store):,} at {_listed(store.image_sizes)} px a side"),
        ("original images", _originals(manifest)),
        ("votes", _votes(manifest)),
        ("kept by", _rule(settings["keep"], settings["min_agree"])),
        ("only weakly labelled", f"{weak:,}" if weak else "none"),
        ("smallest image accepted", f"{settings['min_side']} px a side")
        if settings.get("min_side")
        else ("smallest image accepted", "any"),
        ("split", f"{settings['split']}, seed {settings['seed']}"),
        ("near-duplicates", _near(store)),
    ]
    for name, about in store.attributes["backbones"].items():
        facts += [(f"{name}: {key.replace('_', ' ')}", str(value)) for key, value in about.items()]
    return [*facts, ("fingerprint", store.fingerprint)]


def _near(store: FeatureStore) -> str:
    found = store.attributes.get("near_duplicates")
    return (
        near_duplicates_text(found).removeprefix("Near-duplicates: ") if found else "not looked for"
    )


def _rule(keep: str, agree: int) -> str:
    rule = {"majority": "more people agree than disagree", "all": "every image with a label"}
    text = rule.get(keep, keep)
    return f"{text}, at least {agree} of them" if agree else text


def _originals(manifest: Manifest) -> str:
    kept = manifest["row"] >= 0
    if not kept.any():
        return "none"
    sides = [manifest[name][kept] for name in ("width", "height")]
    middle, low, high = (
        " × ".join(f"{int(of(side)):,}" for side in sides) for of in (np.median, np.min, np.max)
    )
    if low == high:
        return f"{low} px"
    return f"median {middle} px (widths and heights from {low} to {high})"


def _votes(manifest: Manifest) -> str:
    kept = manifest["row"] >= 0
    asked = (manifest["agree"] + manifest["disagree"])[kept].sum(axis=1)
    if not len(asked) or asked.max() <= 1:
        return "none: one label for each image"
    return f"median {int(np.median(asked)):,} an image, from {asked.min():,} to {asked.max():,}"


def _listed(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))


@dataclass(frozen=True)
class RunPart:
    """Where one run comes from.

    Attributes
    ----------
    name, says : str
    facts : list of (str, str)
    """

    name: str
    says: str
    facts: Facts


def run_parts(runs: Sequence[RunResult]) -> list[RunPart]:
    """Return where each run comes from."""
    return [_run_part(run) for run in runs]


def _run_part(run: RunResult) -> RunPart:
    machine = run.machine
    facts = [("fingerprint", run.fingerprint)]
    if run.reason:
        facts.append(("reason", run.reason))
    # As JSON, and so the same wherever and whenever it is written.
    facts += [(key, json.dumps(value, ensure_ascii=False)) for key, value in run.settings.items()]
    facts.append(("versions", ", ".join(f"{name} {v}" for name, v in run.versions.items())))
    if run.code:
        facts.append(("code", f"sha256 {run.code[:16]}…"))
    if machine:
        gpu = "a GPU" if machine.gpu else "no GPU"
        facts.append(
            ("machine", f"{machine.system}, Python {machine.python}, {machine.cpus} CPUs, {gpu}")
        )
    facts.append(("resumed", "yes, after an interruption" if run.resumed else "no"))
    title = title_of(run.model, [run.settings])
    return RunPart(f"{title}, {run.variant}, seed {run.seed}", run.status, facts)
