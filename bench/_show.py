"""Stores and results as text."""

from collections import Counter
from typing import Any

import numpy as np
from scipy.stats import binomtest
from tabulate import tabulate

from bench._advice import advise
from bench._baselines import BASELINES, Baseline, comparable
from bench._models import MODELS
from bench._results import Results
from featurestore import SPLITS, FeatureStore

SYNTHETIC = "These are synthetic images, drawn by a program: scores say nothing about photographs."


def show_store(store: FeatureStore) -> str:
    """Return a store's counts by label and split, and by fate of its records."""
    source = store.attributes["source"]
    size = sum(f.stat().st_size for f in store.path.rglob("*") if f.is_file())
    parts = [f"{store.path}: {source['title']}, {len(store):,} images, {size / 1e6:.1f} MB"]
    if source["synthetic"]:
        parts.append(SYNTHETIC)
    rows: list[list[Any]] = []
    for label, name in enumerate(store.label_names):
        here = store.splits[store.labels == label]
        rows.append([name, *np.bincount(here, minlength=len(SPLITS)).tolist(), len(here)])
    totals = np.bincount(store.splits, minlength=len(SPLITS)).tolist()
    rows.append(["all", *totals, len(store)])
    parts.append("\n" + tabulate(rows, ["label", *SPLITS, "all"], intfmt=","))
    manifest = store.manifest()
    fates = Counter(zip(manifest["status"].tolist(), manifest["kind"].tolist(), strict=True))
    lines = [
        [status.replace("_", " "), kind, count, advise(kind)]
        for (status, kind), count in fates.most_common()
    ]
    parts.append("\n" + tabulate(lines, ["records", "why", "count", "what to do"], intfmt=","))
    parts.append("\n" + _near_duplicates(store.attributes["near_duplicates"]))
    return "\n".join(parts)


def show_failed(store: FeatureStore) -> str:
    """Return a line for each record that failed: kind, where it stands, address and reason."""
    manifest = store.manifest()
    lines = []
    for i in np.flatnonzero(manifest["status"] == "failed").tolist():
        parts = [manifest[name][i] for name in ("kind", "source", "id", "detail")]
        lines.append("\t".join(dict.fromkeys(part for part in parts if part)))
    return "\n".join(lines)


def _near_duplicates(near: dict[str, int]) -> str:
    if not near["groups"]:
        return "No near-duplicates were found."
    text = f"Near-duplicates: {near['images']:,} images in {near['groups']:,} groups"
    across = near["across_given_splits"]
    if not across:
        return f"{text}, each within one split."
    return f"{text}; {across:,} of them lie across the splits that the source itself gives."


def show_provenance(store: FeatureStore) -> str:
    """Return what a store was made from and with."""
    attributes = store.attributes
    lines: list[tuple[str, Any]] = [("fingerprint", store.fingerprint)]
    lines += [(f"source {key}", value) for key, value in attributes["source"].items()]
    names = ("split", "seed", "keep", "min_agree", "min_side")
    lines += [(name, attributes["settings"][name]) for name in names]
    lines.append(("image_sizes", ", ".join(map(str, store.image_sizes))))
    for name, about in attributes["backbones"].items():
        lines += [(f"{name} {key}", value) for key, value in about.items()]
    lines += [(f"version of {name}", value) for name, value in attributes["versions"].items()]
    texts = [(key, str(value)) for key, value in lines]
    return tabulate(texts, tablefmt="plain", disable_numparse=True)


def show_results(results: Results, style: str = "simple") -> str:
    """Return the table of results beside chance, the majority class and published baselines.

    Parameters
    ----------
    results : Results
    style : str
        A table format of tabulate, such as "github" for Markdown.
    """
    store = results.store
    rows = store["rows"]
    counts = ", ".join(f"{rows[split]:,} {split}" for split in SPLITS)
    head = f"Accuracy on {store['title']} ({counts}), embedding: {store['backbone']}"
    head += f" at {store['embedding']['embed_size']} px"
    lines = [head, SYNTHETIC] if store["synthetic"] else [head]
    lines += [f"{name}: {', '.join(labels)}" for name, labels in store["groups"].items()]

    chance = 1 / len(store["label_names"])
    majority = store["majority"]
    table: list[list[str]] = [
        ["chance", "", "", *(_percent(chance),) * 3, "", "", ""],
        [
            f"always {majority['label']}",
            *("", ""),
            *(_percent(majority[split]) for split in SPLITS),
            interval(majority["correct"], majority["total"]),
            _count(majority["total"]),
            "",
        ],
    ]
    for run in results.runs:
        accuracies = (run.train_accuracy, run.dev_accuracy, run.test_accuracy)
        table.append(
            [
                MODELS[run.model].title if run.model in MODELS else run.model,
                run.variant,
                str(run.seed),
                *(_percent(accuracy) for accuracy in accuracies),
                interval(run.correct, run.total),
                _count(run.total),
                run.reason if run.status != "ok" else "",
            ]
        )
    table += [_baseline_row(baseline, store) for baseline in BASELINES]
    header = ["system", "preset", "seed", *(f"{split} %" for split in SPLITS)]
    header += ["95 % interval", "n test", "note"]
    align = ("left", "left", "right", "right", "right", "right", "center", "right", "left")
    text = tabulate(table, header, tablefmt=style, disable_numparse=True, colalign=align)
    return "\n".join([*lines, "", text])


def interval(correct: int | None, total: int | None) -> str:
    """Return the Wilson interval of an accuracy at 95 %, as text; "" where nothing was counted."""
    if correct is None or not total:
        return ""
    found = binomtest(correct, total).proportion_ci(0.95, method="wilson")
    return f"{100 * found.low:.1f} .. {100 * found.high:.1f}"


def _baseline_row(baseline: Baseline, store: dict[str, Any]) -> list[str]:
    note = "FI; other images and splits"
    if not comparable(store):
        what = "eight labels of FI" if store["groups"] else "measured on FI"
        note = f"not comparable: {what}"
    return [
        f"{baseline.origin}: {baseline.title}",
        *("", ""),
        *(_percent(a) for a in (baseline.train, baseline.dev, baseline.test)),
        interval(baseline.correct, baseline.total),
        _count(baseline.total),
        note,
    ]


def _percent(accuracy: float | None) -> str:
    return "" if accuracy is None else f"{100 * accuracy:.1f}"


def _count(total: int | None) -> str:
    return "" if not total else f"{total:,}"
