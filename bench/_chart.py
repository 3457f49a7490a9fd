"""The accuracies as a picture."""

import io

import matplotlib
from matplotlib.figure import Figure

from bench._baselines import BASELINES, incomparable
from bench._records import Results
from bench._statistics import summarise
from bench._tables import percent, seeds_text, title_of_runs
from featurestore import SPLITS

OURS, THEIRS, LINE = "#2f6db5", "#b9b9b9", "#777777"  # readable on white and on black


def draw_accuracy(results: Results) -> str:
    """Return an SVG: test accuracy as bars with 95 % intervals, train and dev as marks."""
    groups = [g for g in summarise(results.runs) if g.interval is not None]
    store = results.store
    bars = len(groups) + len(BASELINES)
    # Text stays text and ids don't change from one drawing to the next.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "accuracy"}):
        figure = Figure(figsize=(8, 1.3 + 0.36 * bars), layout="constrained")
        axes = figure.add_subplot()
        labels = []
        for y, group in enumerate(groups):
            train, dev, test = (group.accuracy(split) for split in SPLITS)
            assert group.interval is not None
            assert test is not None
            low, high = group.interval
            error = [[100 * (test.mean - low)], [100 * (high - test.mean)]]
            axes.barh(y, 100 * test.mean, color=OURS, xerr=error, ecolor=LINE, capsize=3)
            _write_value(axes, y, test.mean)
            for accuracy, mark in ((train, "|"), (dev, "o")):
                if accuracy is not None:
                    axes.plot(100 * accuracy.mean, y, mark, color=LINE, fillstyle="none")
            seeds = seeds_text(group.ok)
            word = "seed" if len(group.ok) == 1 else "seeds"
            labels.append(f"{title_of_runs(group)}, {group.variant}, {word} {seeds}")
        for y, baseline in enumerate(BASELINES, len(groups)):
            axes.barh(y, 100 * baseline.test, color=THEIRS, hatch="//", edgecolor="white")
            _write_value(axes, y, baseline.test)
            labels.append(f"{baseline.origin}: {baseline.title}")
        axes.axvline(100 / len(store.label_names), color=LINE, linestyle=":")
        axes.set_yticks(range(bars), labels)
        axes.invert_yaxis()
        axes.set_xlim(0, 100)
        axes.set_xlabel("test accuracy in %; | train, o dev, dotted line: chance")
        synthetic = " (synthetic images)" if store.synthetic else ""
        hatched = incomparable(store) or "other splits of FI"
        figure.suptitle(f"{store.title}{synthetic}; hatched: {hatched}", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def _write_value(axes: object, y: int, accuracy: float) -> None:
    axes.text(1, y, percent(accuracy), va="center", fontsize=8, color="white")  # type: ignore[attr-defined]
