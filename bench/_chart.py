"""The accuracies as a picture."""

import io

import matplotlib
from matplotlib.figure import Figure
from scipy.stats import binomtest

from bench._baselines import BASELINES, comparable
from bench._models import MODELS
from bench._results import Results

OURS, THEIRS, LINE = "#2f6db5", "#b9b9b9", "#777777"  # readable on white and on black


def draw_accuracy(results: Results) -> str:
    """Return an SVG: test accuracy as bars with 95 % intervals, train and dev as marks."""
    runs = [run for run in results.runs if run.status == "ok" and run.total]
    store = results.store
    bars = len(runs) + len(BASELINES)
    # Text stays text and ids don't change from one drawing to the next.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "accuracy"}):
        figure = Figure(figsize=(8, 1.3 + 0.36 * bars), layout="constrained")
        axes = figure.add_subplot()
        labels = []
        for y, run in enumerate(runs):
            assert run.correct is not None
            assert run.total is not None
            found = binomtest(run.correct, run.total).proportion_ci(0.95, method="wilson")
            test = 100 * run.correct / run.total
            error = [[test - 100 * found.low], [100 * found.high - test]]
            axes.barh(y, test, color=OURS, xerr=error, ecolor=LINE, capsize=3)
            for accuracy, mark in ((run.train_accuracy, "|"), (run.dev_accuracy, "o")):
                if accuracy is not None:
                    axes.plot(100 * accuracy, y, mark, color=LINE, fillstyle="none")
            title = MODELS[run.model].title if run.model in MODELS else run.model
            labels.append(f"{title}, {run.variant}, seed {run.seed}")
        for y, baseline in enumerate(BASELINES, len(runs)):
            axes.barh(y, 100 * baseline.test, color=THEIRS, hatch="//", edgecolor="white")
            labels.append(f"{baseline.origin}: {baseline.title}")
        axes.axvline(100 / len(store["label_names"]), color=LINE, linestyle=":")
        axes.set_yticks(range(bars), labels)
        axes.invert_yaxis()
        axes.set_xlim(0, 100)
        axes.set_xlabel("test accuracy in %; | train, o dev, dotted line: chance")
        synthetic = " (synthetic images)" if store["synthetic"] else ""
        hatched = (
            "other splits of FI" if comparable(store) else "eight labels of FI, not comparable"
        )
        figure.suptitle(f"{store['title']}{synthetic}; hatched: {hatched}", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
