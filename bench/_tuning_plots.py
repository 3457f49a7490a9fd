"""Cost and accuracy against each parameter that was tried: the report's figures 1 to 4."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from bench._plots import DEV, INK, RULE, SOFT, STYLE, TRAIN, finish
from bench._spaces import GRIDS, SPACES, Parameter
from bench._tables import title_of
from bench._tuning_records import About, Trial, ranked

# A picture of its own has no page to take colours from.
PAPER = {INK: "#1b1e24", SOFT: "#555b66", RULE: "#d8dce2", TRAIN: "#1f5aa8", DEV: "#b4500f"}
DASHES = (0, (4, 1.5))


@dataclass(frozen=True)
class Panel:
    """Trials side by side that one parameter is looked at in.

    Attributes
    ----------
    parameter : Parameter
    title : str
    trials : list of Trial
        By the parameter's value.
    lines : bool
        Whether they differ in nothing else, so that a line may join them.
    """

    parameter: Parameter
    title: str
    trials: list[Trial]
    lines: bool


def panels(about: About, trials: Sequence[Trial]) -> list[Panel]:
    """Return what a study's picture consists of, from left to right."""
    done = [trial for trial in trials if trial.state == "ok"]
    parameters = [
        p for p in SPACES[about.model].parameters if any(p.name in t.values for t in done)
    ]
    if not about.grid:
        return [_panel(p, p.name, done, lines=False) for p in parameters]
    grid = GRIDS[about.model]
    if about.max_epochs is not None:
        grid = grid.shortened(about.max_epochs)
    if centre := grid.centre:
        found = []
        for p in parameters:
            others = [o.name for o in parameters if o is not p]
            here = [t for t in done if all(t.values[o] == centre[o] for o in others)]
            found.append(_panel(p, p.name, here, lines=True))
        return found
    across, along = list(grid.parameters)
    by_name = {p.name: p for p in parameters}
    return [
        _panel(
            by_name[along],
            f"{across} {value:g}",
            [t for t in done if t.values[across] == value],
            lines=True,
        )
        for value in grid.parameters[across]
        if by_name
    ]


def _panel(parameter: Parameter, title: str, trials: list[Trial], *, lines: bool) -> Panel:
    order = list(parameter.choices)

    def place(trial: Trial) -> Any:
        value = trial.values[parameter.name]
        return order.index(value) if value in order else value

    return Panel(parameter, title, sorted(trials, key=place), lines)


def draw_study(about: About, trials: Sequence[Trial]) -> str:
    """Return a study's picture as an SVG file."""
    name = f"tuning-{about.name}"
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": name}):  # type: ignore[arg-type]
        text = io.StringIO()
        _draw(about, trials).savefig(text, format="svg", metadata={"Date": None})
    return re.sub("|".join(PAPER), lambda found: PAPER[found[0]], text.getvalue())


def tuning_figures(folder: Path) -> list[tuple[str, str]]:
    """Return the pictures of all studies of a folder of results, for a page.

    Parameters
    ----------
    folder : Path
        RESULTS.

    Returns
    -------
    list of (str, str)
        A title, and an SVG element in the page's colours.

    Raises
    ------
    BenchError
        If a study can't be read.
    """
    journals = sorted((folder / "tuning").glob("*.journal"))
    if not journals:
        return []
    from bench._tuning_study import read_study  # which loads Optuna

    found = []
    for path in journals:
        about, trials = read_study(path)
        if not ranked(trials):
            continue
        name = f"tuning-{about.name}"
        says = (
            f"Loss and accuracy on train and dev of {len(trials)} trials against each of "
            f"{', '.join(p.title for p in panels(about, trials))}; the table has the numbers"
        )
        with matplotlib.rc_context(STYLE | {"svg.hashsalt": name}):  # type: ignore[arg-type]
            found.append((title(about, trials), finish(_draw(about, trials), name, says)))
    return found


def title(about: About, trials: Sequence[Trial]) -> str:
    """Return what a study is called over its picture."""
    what = "the report's grid" if about.grid else "search"
    done = sum(trial.state == "ok" for trial in trials)
    return f"{title_of(about.model, (t.values for t in trials))}, {what}: {done} trials"


def _draw(about: About, trials: Sequence[Trial]) -> Figure:
    """Return the figure: a column for each panel, loss above accuracy."""
    shown = panels(about, trials)
    columns = max(len(shown), 1)
    width, height = 2.1 * columns + 0.9, 4.6
    figure = Figure(figsize=(width, height))
    if not shown:
        return figure
    figure.subplots_adjust(
        **{"left": 0.6 / width, "right": 1 - 0.15 / width, "wspace": 0.12},
        **{"top": 1 - 0.65 / height, "bottom": 0.55 / height, "hspace": 0.14},
    )
    grid = figure.subplots(2, columns, squeeze=False, sharey="row", sharex="col")
    best = ranked(trials)[0]
    kinds = (("train", TRAIN, DASHES, "s"), ("dev", DEV, "-", "o"))
    rows = (("loss", "loss", 1.0), ("accuracy", "accuracy, %", 100.0))
    for column, panel in enumerate(shown):
        name = panel.parameter.name
        values = [trial.values[name] for trial in panel.trials]
        for row, (measure, label, factor) in enumerate(rows):
            axes = grid[row][column]
            # First, so that ticks know the values; a picture's marks are above its rules.
            places = _scale(axes, panel, values)
            for split, colour, dashes, mark in kinds:
                found = [getattr(trial, f"{split}_{measure}") for trial in panel.trials]
                here = [factor * value for value in found]
                style: dict[str, Any] = {"color": colour, "marker": mark, "ms": 3.8, "mew": 0}
                if panel.lines:
                    axes.plot(places, here, linestyle=dashes, linewidth=1.3, label=split, **style)
                else:
                    axes.plot(places, here, linestyle="", alpha=0.75, label=split, **style)
            if best in panel.trials:
                at = panel.trials.index(best)
                value = factor * getattr(best, f"dev_{measure}")
                axes.plot(
                    [places[at]],
                    [value],
                    "o",
                    ms=8,
                    mfc="none",
                    mec=INK,
                    mew=1.0,
                    label="best on dev",
                )
            axes.yaxis.set_major_locator(MaxNLocator(5))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            if not row:
                axes.set_title(panel.title, parse_math=False)
            elif panel.title != name:
                axes.set_xlabel(name.replace("_", " "))
            if not column:
                axes.set_ylabel(label)
    named: dict[str, Any] = {}
    for axes in grid.ravel():
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
    figure.legend(
        list(named.values()),
        list(named),
        loc="upper right",
        ncols=len(named),
        frameon=False,
        borderaxespad=0.2,
    )
    return figure


def _scale(axes: Any, panel: Panel, values: Sequence[Any]) -> list[float]:
    """Set up the horizontal axis; return where on it each trial is."""
    parameter = panel.parameter
    if panel.lines or parameter.choices:
        # What was tried is a handful of values: each has its place.
        order = [v for v in parameter.choices if v in values] or sorted(set(values))
        axes.set_xticks(range(len(order)), [f"{v:g}" if v != str(v) else v for v in order])
        axes.set_xlim(-0.4, len(order) - 0.6)
        return [float(order.index(value)) for value in values]
    if parameter.log:
        axes.set_xscale("log")
        decades = values and max(values) / min(values) >= 30
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if decades else (1.0, 3.0), numticks=4))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    return [float(value) for value in values]
