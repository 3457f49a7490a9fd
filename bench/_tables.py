"""Results as tables: for terminals, as Markdown, LaTeX and CSV."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tabulate import tabulate

from bench._baselines import BASELINES, Baseline, incomparable
from bench._comparison import Pair
from bench._models import MODELS
from bench._records import SYNTHETIC, Results, RunResult, StoreAbout
from bench._statistics import Difference, Spread, Summary, summarise, unpaired, wilson
from featurestore import SPLITS

# As CSV has them: the fields of a run, and those of its dev and test scores.
RUN_COLUMNS = ("model", "variant", "seed", "status", "train_accuracy")
SCORE_COLUMNS = (
    *("accuracy", "low", "high", "correct", "total", "top2", "macro_f1", "balanced_accuracy"),
    *("log_loss", "ece"),
)
MORE_COLUMNS = ("fit_seconds", "predict_seconds", "peak_memory_mb", "reason", "fingerprint")
CSV_COLUMNS = (
    *RUN_COLUMNS,
    *(f"{split}_{name}" for split in ("dev", "test") for name in SCORE_COLUMNS),
    *MORE_COLUMNS,
)
HEADER = (
    *("system", "preset", "seeds", *(f"{split} %" for split in SPLITS), "95 % interval"),
    *("top-2 %", "macro-F1", "ECE %", "fit s", "note"),
)
ALIGN = (*("left", "left", "right"), *("right",) * 3, "center", *("right",) * 4, "left")

PAIR_HEADER = (
    *("A", "B", "A minus B", "only A right", "only B right", "p", "p, corrected"),
    *("agreement %", "kappa"),
)


def title_of(model: str, settings: Iterable[Mapping[str, Any]] = ()) -> str:
    """Return what a model with such settings, one for each run, is called in tables.

    A ResNet has its depth in its name, unless there are several.
    """
    depths = {one["depth"] for one in settings if "depth" in one}
    if model == "resnet" and depths:
        return f"ResNet-{depths.pop()}" if len(depths) == 1 else "ResNet"
    return MODELS[model].title if model in MODELS else model


def title_of_runs(summary: Summary) -> str:
    """Return what the model of such runs is called in tables."""
    return title_of(summary.model, (run.settings for run in summary.runs))


def heading(store: StoreAbout) -> list[str]:
    """Return the lines that say what results are on."""
    counts = ", ".join(f"{store.rows[split]:,} {split}" for split in SPLITS)
    head = f"Accuracy on {store.title} ({counts}), embedding: {store.backbone}"
    head += f" at {store.embedding['embed_size']} px"
    lines = [head, SYNTHETIC] if store.synthetic else [head]
    return lines + [f"{name}: {', '.join(labels)}" for name, labels in store.groups.items()]


def show_results(results: Results, style: str = "simple") -> str:
    """Return the table of results beside chance, the majority class and published results.

    Parameters
    ----------
    results : Results
    style : str
        A table format of tabulate, such as "github" for Markdown.
    """
    text = tabulate(rows_of(results), HEADER, tablefmt=style, disable_numparse=True, colalign=ALIGN)
    parts = ["\n".join(heading(results.store)), text]
    against = against_published(results)
    if against:
        parts.append("Test accuracy minus a published one, in points (95 % interval):")
        header = ("system", "preset", *(b.title for b in BASELINES if b.total))
        parts.append(tabulate(against, header, tablefmt=style, disable_numparse=True))
    return "\n\n".join(parts)


def show_latex(results: Results) -> str:
    """Return the table for a paper, to be used with the package booktabs."""
    lines = [f"% {line}" for line in heading(results.store)]
    text = tabulate(
        rows_of(results),
        HEADER,
        tablefmt="latex_booktabs",
        disable_numparse=True,
        colalign=ALIGN,
    )
    return "\n".join([*lines, text.replace("±", r"$\pm$"), ""])


def show_markdown(results: Results, pairs: Sequence[Pair]) -> str:
    """Return the table and that of all pairs of models, as Markdown."""
    parts = [show_results(results, "github")]
    if pairs:
        parts.append(
            "Differences in test accuracy, in points: 95 % interval by a bootstrap over images of "
            "the means over seeds; McNemar's exact p between first seeds, and by Holm's correction."
        )
        parts.append(
            tabulate(pair_rows(pairs), PAIR_HEADER, tablefmt="github", disable_numparse=True)
        )
    return "\n\n".join(parts) + "\n"


def pair_rows(pairs: Sequence[Pair]) -> list[list[str]]:
    """Return the cells of a table of pairs."""
    return [
        [
            *(f"{title_of_runs(s)}, {s.variant}" for s in (pair.a, pair.b)),
            difference_text(pair.difference),
            f"{pair.difference.only_a:,}",
            f"{pair.difference.only_b:,}",
            p_text(pair.difference.p),
            p_text(pair.corrected_p),
            percent(pair.agreement),
            f"{pair.kappa:.2f}",
        ]
        for pair in pairs
    ]


def p_text(p: float | None) -> str:
    """Return a p value as text."""
    if p is None:
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def show_csv(results: Results) -> str:
    """Return a line for each run."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(CSV_COLUMNS)
    for run in results.runs:
        values = [getattr(run, name) for name in RUN_COLUMNS]
        for scores in (run.dev, run.test):
            values += [None if scores is None else getattr(scores, n) for n in SCORE_COLUMNS]
        table.writerow([*values, *(getattr(run, name) for name in MORE_COLUMNS)])
    return text.getvalue()


def rows_of(results: Results) -> list[list[str]]:
    """Return the cells of the table, a list for each line."""
    store = results.store
    majority = store.majority
    found = [["chance", "", "", *(percent(store.chance),) * 3, *("",) * 6]]
    if majority.label is not None:
        found.append(
            [
                f"always {majority.label}",
                *("", ""),
                *(percent(getattr(majority, split)) for split in SPLITS),
                interval(majority.correct, majority.total),
                *("",) * 5,
            ]
        )
    found += [_summary_row(summary) for summary in summarise(results.runs)]
    return found + [_baseline_row(baseline, store) for baseline in BASELINES]


def _summary_row(summary: Summary) -> list[str]:
    limits = summary.interval
    return [
        title_of_runs(summary),
        summary.variant,
        seeds_text(summary.ok or summary.runs),
        *(spread_percent(summary.accuracy(split)) for split in SPLITS),
        "" if limits is None else limits_text(*limits),
        spread_percent(summary.score("top2")),
        spread_text(summary.score("macro_f1"), ".3f"),
        spread_percent(summary.score("ece")),
        spread_text(Spread.of(run.fit_seconds for run in summary.ok), ".1f", sd=False),
        summary.note,
    ]


def _baseline_row(baseline: Baseline, store: StoreAbout) -> list[str]:
    return [
        f"{baseline.origin}: {baseline.title}",
        *("", ""),
        *(percent(a) for a in (baseline.train, baseline.dev, baseline.test)),
        interval(baseline.correct, baseline.total),
        *("",) * 4,
        incomparable(store) or "FI; other images and splits",
    ]


def against_published(results: Results) -> list[list[str]]:
    """Return each model's difference to the published counts; nothing where data isn't FI."""
    if incomparable(results.store):
        return []
    found = []
    for summary in summarise(results.runs):
        differences = [difference_to(summary, b) for b in BASELINES if b.total]
        cells = ["" if d is None else difference_text(d) for d in differences]
        found.append([title_of_runs(summary), summary.variant, *cells])
    return found


def difference_to(summary: Summary, baseline: Baseline) -> Difference | None:
    """Return the difference of a model's mean test accuracy to a published count, or None."""
    correct, total = summary.score("correct"), summary.score("total")
    if correct is None or total is None or not baseline.total or baseline.correct is None:
        return None
    return unpaired(correct.mean, int(total.mean), baseline.correct, baseline.total)


def difference_text(found: Difference) -> str:
    """Return a difference in points with its interval: "+3.1 (1.0 .. 5.2)"."""
    return f"{100 * found.mean:+.1f} ({limits_text(found.low, found.high)})"


def seeds_text(runs: tuple[RunResult, ...]) -> str:
    """Return seeds as text: "0", "0..4" or "0, 2"."""
    seeds = [run.seed for run in runs]
    if len(seeds) > 1 and seeds == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]}..{seeds[-1]}"
    return ", ".join(map(str, seeds))


def interval(correct: float | None, total: int | None) -> str:
    """Return Wilson's interval of an accuracy at 95 %, as text; "" where nothing was counted."""
    if correct is None or not total:
        return ""
    return limits_text(*wilson(correct, total))


def limits_text(low: float, high: float) -> str:
    """Return limits in percent."""
    return f"{100 * low:.1f} .. {100 * high:.1f}"


def percent(accuracy: float | None) -> str:
    """Return a share in percent; "" if there is none."""
    return "" if accuracy is None else f"{100 * accuracy:.1f}"


def spread_percent(found: Spread | None) -> str:
    """Return a share in percent with its standard deviation over seeds."""
    if found is None:
        return ""
    sd = None if found.sd is None else 100 * found.sd
    return spread_text(Spread(100 * found.mean, sd), ".1f")


def spread_text(found: Spread | None, form: str, *, sd: bool = True) -> str:
    """Return a mean, with its standard deviation if wanted and there."""
    if found is None:
        return ""
    text: Any = format(found.mean, form)
    return text if found.sd is None or not sd else f"{text} ± {found.sd:{form}}"
