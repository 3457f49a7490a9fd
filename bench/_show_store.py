"""Stores as text."""

from collections import Counter
from typing import Any

import numpy as np
from tabulate import tabulate

from bench._advice import advise
from bench._records import SYNTHETIC
from featurestore import SPLITS, FeatureStore


def show_store(store: FeatureStore) -> str:
    """Return a store's counts by label and split, and by fate of its records."""
    source = store.attributes["source"]
    size = store.place.size()
    parts = [f"{store.path}: {source['title']}, {len(store):,} images, {size / 1e6:.1f} MB"]
    if source["synthetic"]:
        parts.append(SYNTHETIC)
    parts.append("\n" + tabulate(label_counts(store), ["label", *SPLITS, "all"], intfmt=","))
    lines = [
        [status.replace("_", " "), kind, count, advise(kind)]
        for (status, kind), count in fates(store.manifest()).most_common()
    ]
    parts.append("\n" + tabulate(lines, ["records", "why", "count", "what to do"], intfmt=","))
    parts.append("\n" + near_duplicates_text(store.attributes["near_duplicates"]))
    if tied := count_tied(store):
        images = "1 image has" if tied == 1 else f"{tied:,} images have"
        parts.append(f"{images} another label as often as theirs; the first of them was taken.")
    return "\n".join(parts)


def count_tied(store: FeatureStore) -> int:
    """Return how many images people saw another label in as often as the one that they have."""
    strength = store.label_strength.copy()
    own = strength[np.arange(len(store)), store.labels]
    strength[np.arange(len(store)), store.labels] = -1
    return int(((strength.max(axis=1, initial=-1) >= own) & (own > 0)).sum())


def has_one_label(store: FeatureStore) -> bool:
    """Return whether all images have the same label."""
    return len(np.unique(store.labels)) == 1


def lacking(store: FeatureStore) -> str:
    """Return what a store lacks for classifiers to learn and be measured on it; "" for nothing."""
    if has_one_label(store):
        name = store.label_names[store.labels[0]]
        return (
            f"All images have the label {name}; classifiers need two. "
            "SOURCE must be the folder that has a folder for each label."
        )
    names = {"train": "training", "dev": "development", "test": "testing"}
    empty = [names[split] for split in SPLITS if not len(store.rows(split))]
    if not empty:
        return ""
    return (
        f"No image is for {' and '.join(empty)}: there are too few of each label, or the source "
        "gives no such split. Add images, or give other shares, such as --split 60/20/20."
    )


def label_counts(store: FeatureStore) -> list[list[Any]]:
    """Return the images of each label, and of all, by split: a name, a number each, their sum."""
    rows: list[list[Any]] = []
    for label, name in enumerate(store.label_names):
        here = store.splits[store.labels == label]
        rows.append([name, *np.bincount(here, minlength=len(SPLITS)).tolist(), len(here)])
    totals = np.bincount(store.splits, minlength=len(SPLITS)).tolist()
    return [*rows, ["all", *totals, len(store)]]


def fates(manifest: dict[str, Any]) -> Counter[tuple[str, str]]:
    """Return the number of records by status and kind."""
    return Counter(zip(manifest["status"].tolist(), manifest["kind"].tolist(), strict=True))


def show_failed(store: FeatureStore) -> str:
    """Return a line for each record that failed, sorted: kind, where it stands, address, reason."""
    manifest = store.manifest()
    lines = []
    for i in np.flatnonzero(manifest["status"] == "failed").tolist():
        parts = [manifest[name][i] for name in ("kind", "source", "id", "detail")]
        lines.append("\t".join(dict.fromkeys(part for part in parts if part)) + "\n")
    return "".join(sorted(lines))


def near_duplicates_text(near: dict[str, int]) -> str:
    if not near["groups"]:
        return "No near-duplicates were found."
    text = f"Near-duplicates: {near['images']:,} images in {near['groups']:,} groups"
    across = near["across_given_splits"]
    if not across:
        return f"{text}, each within one split."
    return f"{text}; {across:,} of them lie in more than one split: given splits are kept."


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
