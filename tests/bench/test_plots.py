"""Pictures in the page: its colours, its ids, the same each time."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from bench._plots import MOST_POINTS, Reliability, draw_curves, draw_reliability, thin
from bench._statistics import Calibration, calibration

HISTORY: dict[str, list[float | None]] = {
    "loss": [2.0, 1.0, 0.5],
    "dev_loss": [2.1, None, 1.5],
    "accuracy": [0.2, 0.5, 0.9],
    "dev_accuracy": [0.2, None, 0.4],
    "learning_rate": [0.1, 0.1, 0.1],
}


def some_calibration() -> Calibration:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(3), 200).astype(np.float32)
    return calibration(rng.integers(0, 3, 200), probabilities)


def test_a_curve_keeps_its_ends_and_no_more_points_than_can_be_seen() -> None:
    steps, values = thin([float(i) for i in range(1000)])
    assert len(steps) == len(values) == MOST_POINTS
    assert (steps[0], values[0]) == (1, 0.0)
    assert (steps[-1], values[-1]) == (1000, 999.0)
    assert steps == sorted(set(steps))


def test_a_curve_leaves_out_what_was_not_measured() -> None:
    assert thin([None, 0.5, None, 0.75]) == ([2, 4], [0.5, 0.75])
    assert thin([]) == thin([None]) == ([], [])


@pytest.mark.parametrize(
    "histories",
    [
        [HISTORY],
        [HISTORY, HISTORY],
        [{"loss": [0.0, 0.0]}],
        [{"dev_accuracy": [None, None]}],
        [{"loss": [float(i) for i in range(500)], "accuracy": [0.5]}],
    ],
    ids=["one", "two seeds", "loss alone", "nothing measured", "long"],
)
def test_curves_of_any_history_are_drawn(histories: list[dict[str, list[float | None]]]) -> None:
    text = draw_curves("curves", "what it shows", histories, "epoch")
    root = ElementTree.fromstring(text)
    assert (root.tag, root.get("role"), root.get("aria-label")) == ("svg", "img", "what it shows")
    words = [item.text for item in root.iter("text")]
    assert {"loss", "accuracy, %", "learning rate", "epoch"} <= set(words)


def test_a_picture_has_the_page_s_colours_and_nothing_of_a_file() -> None:
    text = draw_curves("curves", "says", [HISTORY], "epoch")
    assert "var(--series-1)" in text
    assert "var(--ink)" in text
    assert not re.search(r"#[0-9a-f]{6}\b", text), "a colour that is not the page's"
    assert "http" not in text
    assert "metadata" not in text
    assert "<style" not in text
    assert "font-family" not in text


def test_ids_are_those_that_are_used_and_have_the_picture_s_name() -> None:
    panels = [Reliability(f"model {number}", some_calibration()) for number in range(5)]
    for text in (
        draw_curves("one", "says", [HISTORY, HISTORY], "epoch"),
        draw_reliability("two", "says", panels),
    ):
        root = ElementTree.fromstring(text)
        ids = [item.get("id", "") for item in root.iter() if item.get("id")]
        used = set(re.findall(r'href="#(.+?)"', text)) | set(re.findall(r"url\(#(.+?)\)", text))
        assert set(ids) == used
        assert len(ids) == len(used) > 0
        assert all(name.startswith(("one-", "two-")) for name in ids)


def test_the_same_is_drawn_the_same() -> None:
    panel = Reliability("a", some_calibration())
    assert draw_reliability("r", "says", [panel]) == draw_reliability("r", "says", [panel])
    assert draw_curves("c", "s", [HISTORY], "epoch") == draw_curves("c", "s", [HISTORY], "epoch")


@pytest.mark.parametrize("count", [1, 4, 5, 9])
def test_any_number_of_reliability_diagrams_is_drawn(count: int) -> None:
    panels = [Reliability(f"panel {number}", some_calibration()) for number in range(count)]
    root = ElementTree.fromstring(draw_reliability("r", "says", panels))
    words = [item.text for item in root.iter("text")]
    assert [word for word in words if word and word.startswith("panel")] == [
        f"panel {number}" for number in range(count)
    ]


def test_names_are_text_and_no_formulas_or_elements() -> None:
    panel = Reliability("$x^2$ <b>&amp;", some_calibration())
    root = ElementTree.fromstring(draw_reliability("r", '"><script>', [panel]))
    assert "$x^2$ <b>&amp;" in [item.text for item in root.iter("text")]
    assert root.get("aria-label") == '"><script>'
    assert root.find(".//script") is None
