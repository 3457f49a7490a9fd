"""Two folders of results beside each other: what changed, and what it may come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from bench._comparison import tested_runs
from bench._predictions import Predictions
from bench._records import SYNTHETIC, Results, RunResult, StoreAbout
from bench._results import read_results
from bench._statistics import Difference, Summary, paired, summarise, unpaired
from bench._tables import difference_text, p_text, spread_percent, title_of, title_of_runs

HEADER = ("system", "preset", "A test %", "B test %", "B minus A", "p", "what differs")


@dataclass(frozen=True)
class Opened:
    """A folder of results."""

    path: Path
    results: Results

    @property
    def groups(self) -> dict[tuple[str, str], Summary]:
        """Runs by model and variant."""
        return {(s.model, s.variant): s for s in summarise(self.results.runs)}


def show_comparison(path_a: Path, path_b: Path) -> str:
    """Return what differs between two folders of results, as text.

    Raises
    ------
    BenchError
        If one of them can't be read.
    """
    a, b = (Opened(path, read_results(path)) for path in (path_a, path_b))
    same_labels = not _label_difference(a.results.store, b.results.store)
    rows, alone = [], []
    for key in dict.fromkeys([*a.groups, *b.groups]):
        if key in a.groups and key in b.groups:
            rows.append(_row(a, b, key, same_labels))
        else:
            where = "A" if key in a.groups else "B"
            title = title_of_runs((a if key in a.groups else b).groups[key])
            alone.append(f"only in {where}: {title}, {key[1]}")
    parts = [_heads(a, b), *(f"  {line}" for line in _data_differences(a, b))]
    if rows:
        parts += ["", tabulate(rows, HEADER, disable_numparse=True)]
        parts += ["", *_EXPLAINED]
    return "\n".join([*parts, *alone])


_EXPLAINED = (
    "B minus A in points of test accuracy, with its 95 % interval. On the same test images that is",
    "a bootstrap over images, and p is McNemar's; on others it is Newcombe's, and there is no p.",
)


def _heads(a: Opened, b: Opened) -> str:
    lines = []
    for name, side in (("A", a), ("B", b)):
        store = side.results.store
        px = store.embedding["embed_size"]
        text = f"{name}: {side.path}, {store.title}, {store.rows['test']:,} test images"
        lines.append(f"{text}, embedding: {store.backbone} at {px} px")
    if a.results.store.synthetic or b.results.store.synthetic:
        lines.append(SYNTHETIC)
    return "\n".join(lines)


def _data_differences(a: Opened, b: Opened) -> list[str]:
    """Return what differs in the data, a line each; or that nothing does."""
    first, second = a.results.store, b.results.store
    lines = []
    if first.fingerprint == second.fingerprint:
        lines.append(f"data: the same store ({first.fingerprint[:12]})")
    else:
        lines.append(f"data: other stores ({first.fingerprint[:12]}, {second.fingerprint[:12]})")
        embedding = _changes(
            {"backbone": first.backbone} | first.embedding,
            {"backbone": second.backbone} | second.embedding,
        )
        lines += [f"embedding: {change}" for change in embedding]
    if labels := _label_difference(first, second):
        lines.append(f"{labels}: accuracies are not comparable")
    codes = [{run.code for run in side.results.runs} for side in (a, b)]
    same = codes[0] == codes[1] and len(codes[0]) == 1
    lines.append("code: the same" if same else "code: runs are of different source code")
    return lines


def _label_difference(first: StoreAbout, second: StoreAbout) -> str:
    """Return in what labels differ, or ""."""
    if first.label_names != second.label_names:
        names = " | ".join(", ".join(store.label_names) for store in (first, second))
        return f"labels: {names}"
    members = [
        {name: set(labels) for name, labels in store.groups.items()} for store in (first, second)
    ]
    return "" if members[0] == members[1] else "groups differ"


def _row(a: Opened, b: Opened, key: tuple[str, str], same_labels: bool) -> list[str]:
    first, second = a.groups[key], b.groups[key]
    found = _difference(a, b, key) if same_labels else None
    return [
        _title(first, second),
        key[1],
        *(spread_percent(summary.accuracy("test")) for summary in (first, second)),
        "" if found is None else difference_text(found),
        "" if found is None else p_text(found.p),
        "; ".join(_run_differences(first, second)) or "nothing",
    ]


def _title(first: Summary, second: Summary) -> str:
    return title_of(first.model, (run.settings for run in (*first.runs, *second.runs)))


def _difference(a: Opened, b: Opened, key: tuple[str, str]) -> Difference | None:
    """Return B's accuracy minus A's, or None where one has none."""
    sides = [(side.path, side.groups[key]) for side in (a, b)]
    hits = []
    for path, summary in sides:
        found = [test for _, test in tested_runs(path, summary.ok)]
        if found:
            order = np.argsort(found[0].image)
            hits.append((_images(found[0], order), np.stack([p.hits[order] for p in found])))
    if len(hits) == 2 and np.array_equal(hits[0][0], hits[1][0]):
        return paired(hits[1][1], hits[0][1])
    counts = [(s.score("correct"), s.score("total")) for _, s in sides]
    (right_a, total_a), (right_b, total_b) = counts
    if right_a is None or total_a is None or right_b is None or total_b is None:
        return None
    return unpaired(right_b.mean, int(total_b.mean), right_a.mean, int(total_a.mean))


def _images(found: Predictions, order: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return what tells test images apart with their labels, str (n,)."""
    return np.char.add(found.image[order], found.label[order].astype(str))


def _run_differences(first: Summary, second: Summary) -> list[str]:
    """Return what differs between the runs of both, in a few words each."""
    lines = _changes_by_seed(first.runs, second.runs)
    seeds = [[run.seed for run in summary.ok] for summary in (first, second)]
    if seeds[0] != seeds[1]:
        lines.append(f"seeds {_listed(seeds[0])} -> {_listed(seeds[1])}")
    for name, summary in (("A", first), ("B", second)):
        if summary.note:
            lines.append(f"{name}: {summary.note}")
    if _digests(first.ok).keys() == _digests(second.ok).keys() and not lines:
        apart = [
            seed
            for seed, scores in _digests(first.ok).items()
            if scores != _digests(second.ok)[seed]
        ]
        stores = {run.store_fingerprint for run in (*first.runs, *second.runs)}
        if apart and len(stores) == 1:
            lines.append(f"nothing that is recorded, yet other numbers at seeds {_listed(apart)}")
    return lines


def _changes_by_seed(first: Sequence[RunResult], second: Sequence[RunResult]) -> list[str]:
    """Return what differs between runs of the same seed; of the first ones if none is the same."""
    by_seed = {run.seed: run for run in second}
    both = [(run, by_seed[run.seed]) for run in first if run.seed in by_seed]
    found: dict[str, list[int]] = {}
    for one, other in both or [(first[0], second[0])]:
        for line in _changes_between(one, other):
            found.setdefault(line, []).append(one.seed)
    return [
        line if len(seeds) >= len(both) else f"{line} (seed {_listed(seeds)})"
        for line, seeds in found.items()
    ]


def _changes_between(one: RunResult, other: RunResult) -> list[str]:
    lines = _changes(one.settings, other.settings) + _changes(one.versions, other.versions)
    if one.code != other.code:
        lines.append("source code")
    machines = (run.machine.model_dump() if run.machine else {} for run in (one, other))
    return lines + _changes(*machines)


def _digests(runs: tuple[RunResult, ...]) -> dict[int, Any]:
    return {run.seed: run.test for run in runs}


def _listed(seeds: list[int]) -> str:
    return ", ".join(map(str, seeds)) or "none"


def _changes(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Return "name old -> new" for all that differs."""
    return [
        f"{name} {_short(first.get(name))} -> {_short(second.get(name))}"
        for name in dict.fromkeys([*first, *second])
        if first.get(name) != second.get(name) and name != "random_state"
    ]


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 40 else text[:12] + "..."
