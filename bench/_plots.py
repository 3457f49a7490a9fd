"""Pictures of the report: matplotlib's SVG, made fit to stand within a page.

Colours are the page's own, so that pictures are readable on light and on dark paper alike, and ids
are unique in the page.
"""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bench._statistics import Calibration

MOST_POINTS = 300  # of a curve: more can't be seen at this size
COLUMNS = 4  # of reliability diagrams
# Drawn in colours that nothing else has, which then become the page's.
INK, SOFT, RULE, TRAIN, DEV = (f"#10000{number}" for number in range(1, 6))
PAGE_COLOURS = {
    INK: "var(--ink)",
    SOFT: "var(--soft)",
    RULE: "var(--rule)",
    TRAIN: "var(--series-1)",
    DEV: "var(--series-2)",
}
STYLE = {
    "svg.fonttype": "none",  # text stays text
    "font.size": 9.0,
    "text.color": INK,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": SOFT,
    "axes.titlecolor": INK,
    "axes.titlesize": 9.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
}
SVG, LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
Curves = Mapping[str, Sequence[float | None]]


@dataclass(frozen=True)
class Reliability:
    """One panel of reliability diagrams."""

    title: str
    calibration: Calibration


def thin(values: Sequence[float | None]) -> tuple[list[int], list[float]]:
    """Return which steps of a curve to draw, counted from 1, and their values.

    Steps without a value are left out; the first and the last that have one stay.
    """
    there = [(step, value) for step, value in enumerate(values, 1) if value is not None]
    if len(there) > MOST_POINTS:
        chosen = np.linspace(0, len(there) - 1, MOST_POINTS).round().astype(int)
        there = [there[i] for i in chosen]
    return [step for step, _ in there], [value for _, value in there]


def draw_curves(name: str, says: str, histories: Sequence[Curves], step: str) -> str:
    """Return an SVG of loss, accuracy and learning rate while models were trained.

    Parameters
    ----------
    name : str
        Unique in the page.
    says : str
        What the picture shows, for those who can't see it.
    histories : sequence of mapping
        One for each seed; the first is drawn strongly.
    step : str
        What the curves go by, such as "epoch".
    """
    panels = (
        ("loss", (("loss", TRAIN, "-"), ("dev_loss", DEV, (0, (4, 1.5)))), 1.0),
        ("accuracy, %", (("accuracy", TRAIN, "-"), ("dev_accuracy", DEV, (0, (4, 1.5)))), 100.0),
        ("learning rate", (("learning_rate", TRAIN, "-"),), 1.0),
    )
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": name}):  # type: ignore[arg-type]
        figure = Figure(figsize=(9.4, 2.5))
        figure.subplots_adjust(left=0.05, right=0.99, top=0.88, bottom=0.2, wspace=0.24)
        for axes, (title, lines, factor) in zip(figure.subplots(1, 3), panels, strict=True):
            # The first seed last, so that it lies above the others.
            for number in reversed(range(len(histories))):
                strong: dict[str, Any] = (
                    {"linewidth": 0.9, "alpha": 0.35} if number else {"linewidth": 1.6}
                )
                for key, colour, dashes in lines:
                    steps, values = thin(histories[number].get(key, ()))
                    shown = [factor * value for value in values]
                    mark = "o" if len(steps) == 1 else None
                    axes.plot(
                        steps, shown, color=colour, linestyle=dashes, marker=mark, ms=3, **strong
                    )
            axes.set_title(title)
            if factor == 1.0:  # losses and rates may lie close together far from 0
                axes.set_ylim(bottom=0)
            axes.set_xlabel(step)
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
            axes.yaxis.set_major_locator(MaxNLocator(5))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        return finish(figure, name, says)


def draw_reliability(name: str, says: str, panels: Sequence[Reliability]) -> str:
    """Return an SVG of reliability diagrams beside each other, at least one.

    Each shows how often images were told right of which a model was about as sure; points are the
    larger the more images there are.
    """
    rows = -(-len(panels) // COLUMNS)
    columns = -(-len(panels) // rows)
    width, height = 2.35 * columns + 0.15, 2.95 * rows
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": name}):  # type: ignore[arg-type]
        figure = Figure(figsize=(width, height))
        figure.subplots_adjust(
            **{"left": 0.57 / width, "right": 1 - 0.12 / width},
            **{"top": 1 - 0.58 / height, "bottom": 0.45 / height},
            **{"wspace": 0.27, "hspace": 0.56},
        )
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, panel in zip(grid, panels, strict=False):
            found = panel.calibration
            axes.plot([0, 100], [0, 100], color=SOFT, linewidth=0.8, linestyle=":")
            sure, right = 100 * found.confidence, 100 * found.accuracy
            axes.plot(sure, right, color=TRAIN, linewidth=1.2)
            sizes = 5 + 60 * found.count / found.count.max()
            axes.scatter(
                sure, right, s=sizes, color=TRAIN, linewidths=0, alpha=0.75, zorder=3, clip_on=False
            )
            # Names may hold dollar signs, which are no formulas.
            axes.set_title(panel.title, parse_math=False)
            axes.set_xlim(0, 102)
            axes.set_ylim(0, 102)
            axes.set_xticks(range(0, 101, 25))
            axes.set_yticks(range(0, 101, 25))
            axes.set_aspect("equal")
            axes.set_xlabel("mean confidence, %")
        for number, axes in enumerate(grid):
            if number % columns == 0:
                axes.set_ylabel("told right, %")
            axes.set_visible(number < len(panels))
        return finish(figure, name, says)


def finish(figure: Figure, name: str, says: str) -> str:
    """Return a figure as an element of a page."""
    text = io.BytesIO()
    figure.savefig(text, format="svg", metadata={"Date": None}, transparent=True)
    root = ElementTree.fromstring(text.getvalue())
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{SVG}metadata", f"{SVG}style"):
                parent.remove(child)  # who made it, and a style that would hold for the whole page
    links = {link for item in root.iter() for link in _links(item)}
    for item in root.iter():
        item.tag = item.tag.removeprefix(SVG)
        item.text, item.tail = (text and text.strip() for text in (item.text, item.tail))
        for key, value in list(item.attrib.items()):
            del item.attrib[key]
            if key == "id":
                if value in links:
                    item.set("id", f"{name}-{value}")
            elif key == LINK:
                item.set("href", f"#{name}-{value[1:]}")
            elif key == "d":
                item.set("d", " ".join(value.split()))
            elif not (key == "transform" and value.startswith("rotate(-0 ")):
                item.set(key, value.replace("url(#", f"url(#{name}-"))
        if item.tag == "text":  # in the page's typeface
            item.set("style", re.sub(r"font-family:[^;]*;? ?", "", item.get("style", "")))
    width = round(96 * float(figure.get_figwidth()))
    view = root.get("viewBox", "")
    root.attrib.clear()
    root.attrib.update({"class": "plot", "viewBox": view, "role": "img", "aria-label": says})
    root.set("style", f"--width: {width}px")
    page = ElementTree.tostring(root, encoding="unicode")
    return re.sub("|".join(PAGE_COLOURS), lambda found: PAGE_COLOURS[found[0]], page)


def _links(item: ElementTree.Element) -> list[str]:
    """Return the ids that an element points to."""
    found = [item.get(LINK, "")[1:]]
    return found + [
        i for value in item.attrib.values() for i in re.findall(r"url\(#(.+?)\)", value)
    ]
