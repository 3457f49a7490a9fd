"""The report's part for each model: what it mixes up, how it was trained, how sure it is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from bench._comparison import Compared
from bench._gallery import Wall
from bench._plots import Reliability, draw_curves, draw_reliability
from bench._records import RunResult, SplitScores
from bench._report_parts import Cell, Heat, Table, shade
from bench._report_scores import name_of
from bench._statistics import Calibration, Summary, calibration
from bench._tables import percent, seeds_text, title_of_runs

MOST_LABELS = 20  # of a confusion matrix that can still be read
MOST_CONFUSIONS = 20
WIDEST_TITLE = 30  # characters above a reliability diagram


@dataclass(frozen=True)
class ModelPart:
    """What the report says of one model.

    Attributes
    ----------
    anchor : str
        The part's id in the page.
    name, says : str
        ``says`` sums it up in a line.
    confusion : Heat or None
    confusions : Table or None
        The most frequent ones, instead of a matrix that is too large.
    curves : Markup or None
    curve_numbers : Table or None
    other_seeds : bool
        Whether the curves have further ones than the first.
    search : Table or None
    """

    anchor: str
    name: str
    says: str
    confusion: Heat | None
    confusions: Table | None
    curves: Markup | None
    curve_numbers: Table | None
    other_seeds: bool
    search: Table | None


def model_parts(summaries: Sequence[Summary], label_names: Sequence[str]) -> list[ModelPart]:
    """Return a part for each model that ended well at least once."""
    return [
        _model_part(number, summary, label_names)
        for number, summary in enumerate((s for s in summaries if s.ok), 1)
    ]


def _model_part(number: int, summary: Summary, label_names: Sequence[str]) -> ModelPart:
    name, anchor = name_of(summary), f"model-{number}"
    seed, test = next(((r.seed, r.test) for r in summary.ok if r.test), (summary.ok[0].seed, None))
    large = len(label_names) > MOST_LABELS
    trained = [run for run in summary.ok if any(run.history.values())]
    says = f"seeds {seeds_text(summary.ok)}; " if len(summary.ok) > 1 else ""
    says += f"seed {seed}"
    if test is not None:
        says += f": {test.correct:,} of {test.total:,} test images told right"
    return ModelPart(
        anchor,
        name,
        says,
        None if test is None or large else _confusion(name, seed, test, label_names),
        _confusions(name, seed, test, label_names) if test is not None and large else None,
        _curves(f"curves-{number}", name, trained) if trained else None,
        _curve_numbers(name, trained) if trained else None,
        len(trained) > 1,
        _search(name, summary.ok),
    )


def _confusion(name: str, seed: int, test: SplitScores, label_names: Sequence[str]) -> Heat:
    rows = []
    for true, (label, counts) in enumerate(zip(label_names, test.confusion, strict=True)):
        total = sum(counts)
        cells = [
            Cell(
                f"{count:,}",
                f"{100 * count / total:.1f} %" if total else "–",
                # Mistakes are many and each is rare: their roots can be told from nothing.
                shade(count / total if predicted == true else (count / total) ** 0.5)
                if total
                else 0,
                "right" if predicted == true else "wrong",
            )
            for predicted, count in enumerate(counts)
        ]
        rows.append((label, cells))
    return Heat(
        f"confusion matrix of {name}",
        f"Confusion matrix, test images, seed {seed}: number, and share of the true label's "
        "images; the diagonal is what was told right",
        *("true label", "predicted label"),
        label_names,
        rows,
    )


def _confusions(name: str, seed: int, test: SplitScores, label_names: Sequence[str]) -> Table:
    counts = np.array(test.confusion)
    totals = counts.sum(axis=1)
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:MOST_CONFUSIONS]
    rows = []
    for true, predicted in (divmod(int(place), len(label_names)) for place in order):
        count = int(counts[true, predicted])
        if count:
            cells = [label_names[true], label_names[predicted], f"{count:,}"]
            rows.append([*cells, percent(count / int(totals[true]))])
    return Table(
        f"confusions of {name}",
        f"The {len(rows)} most frequent confusions, test images, seed {seed}; there are too many "
        f"labels ({len(label_names)}) for a matrix",
        ("true label", "predicted label", "images", "% of the true label's"),
        rows,
        frozenset({0, 1}),
    )


def _step(runs: Sequence[RunResult]) -> str:
    return "boosting round" if "rounds" in runs[0].settings else "epoch"


def _curves(anchor: str, name: str, runs: Sequence[RunResult]) -> Markup:
    step = _step(runs)
    says = f"Learning curves of {name}: loss, accuracy and learning rate by {step}"
    return Markup(draw_curves(anchor, says, [run.history for run in runs], step))


def _curve_numbers(name: str, runs: Sequence[RunResult]) -> Table:
    step = _step(runs)
    rows = []
    for run in runs:
        cells = [str(run.seed), f"{max(map(len, run.history.values())):,}"]
        for key in ("loss", "dev_loss"):
            values = [v for v in run.history.get(key, ()) if v is not None]
            cells.append(f"{values[-1]:.3f}" if values else "–")
        scored = [(v, -i) for i, v in enumerate(run.history.get("dev_accuracy", ()), 1) if v]
        best, when = max(scored, default=(None, 0))
        cells += [percent(best) or "–", f"{-when:,}" if when else "–"]
        rows.append(cells)
    return Table(
        f"learning curves of {name} in numbers",
        "The curves in numbers",
        ("seed", f"{step}s", "last loss, train", "last loss, dev", "best dev %", f"in {step}"),
        rows,
        frozenset(),
    )


def _search(name: str, runs: Sequence[RunResult]) -> Table | None:
    run = next((run for run in runs if run.search), None)
    if run is None:
        return None
    keys = list(dict.fromkeys(key for tried in run.search for key in tried))
    reached = [tried.get("dev_accuracy") for tried in run.search]
    best = max((value for value in reached if value is not None), default=None)
    header = [{"dev_accuracy": "dev %"}.get(key, key) for key in keys]
    rows = [
        [_tried(key, tried.get(key)) for key in keys] + ["best" if value == best else ""]
        for tried, value in zip(run.search, reached, strict=True)
    ]
    return Table(
        f"settings that {name} tried",
        f"Settings that were tried on dev, seed {run.seed}",
        (*header, "note"),
        rows,
        frozenset({len(keys)}),
        frozenset((i, len(keys)) for i, row in enumerate(rows) if row[-1]),
    )


def _tried(key: str, value: float | None) -> str:
    if value is None:
        return "–"
    return percent(value) if key == "dev_accuracy" else f"{value:,g}"


@dataclass(frozen=True)
class CalibrationPart:
    """Reliability diagrams of all models, and their points in numbers."""

    picture: Markup
    numbers: Table


def calibration_part(compared: Compared) -> CalibrationPart | None:
    """Return how sure models are beside how often they are right, over all their seeds."""
    if not compared.tested:
        return None
    panels, rows = [], []
    for model in compared.tested:
        found = calibration(
            np.concatenate([p.label for p in model.predictions]),
            np.concatenate([p.probabilities for p in model.predictions]),
        )
        summary = model.summary
        title = [title_of_runs(summary), f"ECE {percent(found.error)} %"]
        if summary.variant != "default":
            title.insert(1, summary.variant)
        panels.append(Reliability("\n".join(map(_cut, title)), found))
        rows += _points(name_of(summary), found)
    says = "Reliability diagrams of " + "; ".join(
        f"{name_of(m.summary)}: ECE {percent(p.calibration.error)} %"
        for m, p in zip(compared.tested, panels, strict=True)
    )
    numbers = Table(
        "points of the reliability diagrams",
        "The diagrams' points in numbers; each image counts once for every seed",
        ("model", "mean confidence %", "told right %", "images"),
        rows,
    )
    return CalibrationPart(Markup(draw_reliability("reliability", says, panels)), numbers)


def _cut(text: str) -> str:
    return text if len(text) <= WIDEST_TITLE else text[: WIDEST_TITLE - 1] + "…"


def _points(name: str, found: Calibration) -> list[list[str]]:
    return [
        [name, percent(sure), percent(right), f"{count:,}"]
        for sure, right, count in zip(found.confidence, found.accuracy, found.count, strict=True)
    ]


@dataclass(frozen=True)
class GalleryPart:
    """The images of one model."""

    name: str
    seed: int
    wall: Wall


def gallery_parts(compared: Compared, walls: Sequence[Wall]) -> list[GalleryPart]:
    """Return models' images with the models' names."""
    return [
        GalleryPart(name_of(model.summary), model.runs[0].seed, wall)
        for model, wall in zip(compared.tested, walls, strict=True)
    ]
