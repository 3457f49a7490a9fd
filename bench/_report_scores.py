"""The report's tables of scores: results, differences, and accuracy by class."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench._baselines import BASELINES, Baseline, incomparable
from bench._comparison import Compared, Pair
from bench._records import Results, SplitScores, StoreAbout
from bench._report_parts import Cell, Heat, Table, of_share
from bench._statistics import Spread, Summary, summarise, wilson
from bench._tables import (
    PAIR_HEADER,
    against_published,
    limits_text,
    pair_rows,
    percent,
    seeds_text,
    spread_percent,
    spread_text,
    title_of_runs,
)
from featurestore import SPLITS


@dataclass(frozen=True)
class Bar:
    """An accuracy with its interval, in percent; limits are None where nothing was counted."""

    point: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Line:
    """A line of the table of results.

    Attributes
    ----------
    system, preset, seeds, interval, note : str
    tag : str
        In one word or two, what to know before reading on: "failed", "not comparable".
    accuracies : sequence of str
        Of train, dev and test, percent.
    bar : Bar or None
    measures : sequence of str
        As ``MEASURES``.
    """

    system: str
    preset: str = ""
    seeds: str = ""
    tag: str = ""
    accuracies: Sequence[str] = ("", "", "")
    bar: Bar | None = None
    interval: str = ""
    measures: Sequence[str] = ()
    note: str = ""


MEASURES = (
    *("top-2 %", "macro-F1", "balanced acc. %", "log-loss", "ECE %"),
    *("fit s", "predict s", "peak MB"),
)


def name_of(summary: Summary) -> str:
    """Return what a model is called in the report: with its variant, but for the default."""
    title = title_of_runs(summary)
    return title if summary.variant == "default" else f"{title}, {summary.variant}"


def result_lines(results: Results) -> list[Line]:
    """Return the lines of the table: guesses, models, published results."""
    store = results.store
    majority, chance = store.majority, store.chance
    lines = [Line("chance", accuracies=(percent(chance),) * 3, bar=Bar(100 * chance))]
    if majority.label is not None:
        limits = wilson(majority.correct, majority.total) if majority.total else None
        lines.append(
            Line(
                f"always {majority.label}",
                accuracies=[percent(getattr(majority, split)) for split in SPLITS],
                bar=_bar(majority.test, limits),
                interval=limits_text(*limits) if limits else "",
                note="most frequent in training",
            )
        )
    lines += [_model_line(summary) for summary in summarise(results.runs)]
    return lines + [_published_line(baseline, store) for baseline in BASELINES]


def _bar(point: float | None, limits: tuple[float, float] | None) -> Bar | None:
    if point is None:
        return None
    low, high = (100 * limit for limit in limits) if limits else (None, None)
    return Bar(100 * point, low, high)


def _model_line(summary: Summary) -> Line:
    test, limits, ok = summary.accuracy("test"), summary.interval, summary.ok
    lacking = next((run.status for run in summary.runs if run.status != "ok"), "")
    seconds, predicting, memory = (
        Spread.of(getattr(run, name) for run in ok)
        for name in ("fit_seconds", "predict_seconds", "peak_memory_mb")
    )
    return Line(
        title_of_runs(summary),
        summary.variant,
        seeds_text(ok or summary.runs),
        f"partly {lacking}" if ok and lacking else lacking,
        [spread_percent(summary.accuracy(split)) for split in SPLITS],
        _bar(None if test is None else test.mean, limits),
        "" if limits is None else limits_text(*limits),
        (
            spread_percent(summary.score("top2")),
            spread_text(summary.score("macro_f1"), ".3f"),
            spread_percent(summary.score("balanced_accuracy")),
            spread_text(summary.score("log_loss"), ".3f"),
            spread_percent(summary.score("ece")),
            spread_text(seconds, ",.1f", sd=False),
            spread_text(predicting, ",.2f", sd=False),
            spread_text(memory, ",.0f", sd=False),
        ),
        summary.note,
    )


def _published_line(baseline: Baseline, store: StoreAbout) -> Line:
    limits = None
    if baseline.correct is not None and baseline.total:
        limits = wilson(baseline.correct, baseline.total)
    why = incomparable(store)
    return Line(
        f"{baseline.origin}: {baseline.title}",
        tag="not comparable" if why else "published",
        accuracies=[percent(a) for a in (baseline.train, baseline.dev, baseline.test)],
        bar=_bar(baseline.test, limits),
        interval=limits_text(*limits) if limits else "",
        note=why or "FI; other images and splits",
    )


def in_short(results: Results, pairs: Sequence[Pair]) -> str:
    """Return in a sentence or two which model told most test images right."""
    ranked = [(s, s.accuracy("test")) for s in summarise(results.runs)]
    found = sorted(((s, a.mean) for s, a in ranked if a is not None), key=lambda each: -each[1])
    if not found:
        return "No model has been tested yet."
    best, accuracy = found[0]
    text = f"Highest test accuracy: {name_of(best)}, {percent(accuracy)} %"
    if best.interval is not None:
        text += f" (95 % interval {limits_text(*best.interval)})"
    text += f"; guessing gives {percent(1 / len(results.store.label_names))} %."
    if len(found) == 1:
        return text
    second, other = found[1]
    both = {_key(best), _key(second)}
    pair = next((p for p in pairs if {_key(p.a), _key(p.b)} == both), None)
    text += f" Next: {name_of(second)}, {percent(other)} %"
    if pair is None:
        return text + "."
    return text + (", clearly less." if pair.clear else ", not clearly less.")


def _key(summary: Summary) -> tuple[str, str]:
    return summary.model, summary.variant


def published_differences(results: Results) -> Table | None:
    """Return models beside published counts, or None where data is not theirs."""
    rows = against_published(results)
    if not rows:
        return None
    return Table(
        "differences to published results",
        "Test accuracy minus a published one, in points (95 % interval by Newcombe)",
        ("system", "preset", *(b.title for b in BASELINES if b.total)),
        rows,
        frozenset({0, 1}),
    )


def agreement(compared: Compared) -> Heat:
    """Return of how many test images any two models say the same."""
    shares = {
        (_key(one), _key(other)): pair.agreement
        for pair in compared.pairs
        for one, other in ((pair.a, pair.b), (pair.b, pair.a))
    }
    models = [model.summary for model in compared.tested]
    rows = [
        (
            name_of(a),
            [Cell("·") if a is b else of_share(shares[_key(a), _key(b)]) for b in models],
        )
        for a in models
    ]
    return Heat(
        "agreement between models",
        "Test images of which two models say the same, right or wrong, in percent; first seeds",
        *("model", "model"),
        [name_of(model) for model in models],
        rows,
    )


def differences(pairs: Sequence[Pair]) -> Table:
    """Return all pairs of models, with in words whether they differ."""
    words = []
    for pair in pairs:
        better = "A is better" if pair.difference.mean > 0 else "B is better"
        words.append(better if pair.clear else "not clear")
    rows = [
        [name_of(pair.a), name_of(pair.b), cells[2], word, *cells[3:]]
        for pair, cells, word in zip(pairs, pair_rows(pairs), words, strict=True)
    ]
    return Table(
        "differences between models",
        "Differences in test accuracy, in points, with 95 % intervals",
        (*PAIR_HEADER[:3], "in words", *PAIR_HEADER[3:]),
        rows,
        frozenset({0, 1, 3}),
        frozenset((i, 3) for i, pair in enumerate(pairs) if pair.clear),
    )


def by_class(results: Results, name: str, caption: str, *, support: bool) -> Heat | None:
    """Return recall or precision on test by model and label; None where nothing was tested."""
    labels = results.store.label_names
    rows: list[tuple[str, list[Cell]]] = []
    counts: list[int] = []
    for summary in summarise(results.runs):
        scores: list[SplitScores] = [run.test for run in summary.ok if run.test is not None]
        if not scores:
            continue
        counts = [sum(row) for row in scores[0].confusion]
        means = [Spread.of(getattr(s, name)[label] for s in scores) for label in range(len(labels))]
        rows.append((name_of(summary), [of_share(m.mean if m else None) for m in means]))
    if not rows:
        return None
    if support:
        rows.append(("test images", [Cell(f"{count:,}") for count in counts]))
    return Heat(f"{name} by class", caption, "model", "label", labels, rows).tall()
