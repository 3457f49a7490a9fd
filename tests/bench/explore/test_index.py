"""Filters, orders and pages are those of a plain loop."""

import itertools

import numpy as np
import pytest

from bench._predictions import Predictions
from bench.explore._index import SORTS, Filters, Index, cut
from bench.explore._told import Told

LABELS = 4


def make_told(key: str, labels: np.ndarray, rows: np.ndarray, seed: int) -> Told:
    """Return made-up predictions for some rows."""
    rng = np.random.default_rng(seed)
    raw = rng.random((len(rows), LABELS)) ** 2 + np.eye(LABELS)[labels[rows]] / 2
    shares = (np.round(20 * raw / raw.sum(axis=1, keepdims=True)) / 20).astype(np.float32)  # ties
    names = np.full(len(rows), "x")
    found = Predictions(names, names, rows, labels[rows], shares)
    return Told.spread(key, key, {}, found, len(labels))


def make_index(count: int, models: int = 3) -> tuple[Index, np.ndarray, np.ndarray, list[Told]]:
    rng = np.random.default_rng(count)
    labels, splits = rng.integers(0, LABELS, count), rng.integers(0, 3, count).astype(np.uint8)
    rows = np.flatnonzero(splits > 0)
    told = [make_told(f"m{i}", labels, rows[i:], i) for i in range(models)]  # some say less
    return Index(labels, splits, told), labels, splits, told


def by_hand(filters: Filters, labels: np.ndarray, splits: np.ndarray, told: list[Told]) -> list:
    found = []
    for row in range(len(labels)):
        model = told[filters.model]
        place = model.place[row]
        shares = model.probabilities[place] if place >= 0 else None
        says = [int(t.probabilities[t.place[row]].argmax()) for t in told if t.place[row] >= 0]
        right = None if shares is None else bool(shares.argmax() == labels[row])
        fits = (
            filters.label in (None, labels[row])
            and filters.split in (None, splits[row])
            and (filters.predicted is None or shares is not None)
            and (filters.predicted is None or shares.argmax() == filters.predicted)
            and (not filters.answer or right is (filters.answer == "right"))
            and (not filters.models or len(says) > 1)
            and (not filters.models or (len(set(says)) > 1) is (filters.models == "differ"))
        )
        if fits:
            sure = None if shares is None else float(shares.max())
            key = {
                "row": 0.0,
                "answers": -len(set(says)),
                "surest": 1.0 if sure is None else -sure,
                "unsure": 2.0 if sure is None else sure,
            }[filters.sort]
            found.append((key, row))
    return [row for _, row in sorted(found)]


@pytest.mark.parametrize("sort", SORTS)
def test_every_mix_of_filters_is_what_a_loop_finds(sort: str) -> None:
    index, labels, splits, told = make_index(150)
    choices = itertools.product(
        (None, 2), (None, 0, 1), (0, 2), (None, 1), ("", "right", "wrong"), ("", "agree", "differ")
    )
    sizes = set()
    for choice in choices:
        filters = Filters(*choice, sort=sort)
        found = index.select(filters).tolist()
        assert found == by_hand(filters, labels, splits, told)
        sizes.add(len(found))
    assert len(sizes) > 10  # they were about something


def test_without_models_filters_by_answers_fit_nothing() -> None:
    index, *_ = make_index(50, models=0)
    assert len(index.select(Filters())) == 50
    assert index.select(Filters(sort="surest")).tolist() == list(range(50))
    assert index.select(Filters(sort="answers")).tolist() == list(range(50))
    assert not index.answers.any()
    for filters in (Filters(predicted=0), Filters(answer="wrong"), Filters(models="differ")):
        assert len(index.select(filters)) == 0


def test_pages_of_100_000_rows_are_the_right_slices_and_together_everything() -> None:
    index, labels, _, told = make_index(100_000, models=2)
    filters = Filters(label=1, sort="surest", answer="right")
    rows = np.flatnonzero((labels == 1) & (told[0].right == 1))
    expected = rows[np.argsort(-told[0].sureness[rows], kind="stable")]
    first = index.page(filters, 1, 60)
    assert first.total == len(expected)
    assert first.pages == -(-len(expected) // 60)
    for number in (1, 2, 17, first.pages):
        page = index.page(filters, number, 60)
        np.testing.assert_array_equal(page.rows, expected[60 * (number - 1) : 60 * number])
    everything = [index.page(Filters(), n, 60).rows for n in range(1, 1668)]
    np.testing.assert_array_equal(np.concatenate(everything), np.arange(100_000))
    assert len(index.page(Filters(), 1668, 60).rows) == 0


@pytest.mark.parametrize(("count", "pages"), [(0, 1), (1, 1), (60, 1), (61, 2)])
def test_there_is_always_a_page(count: int, pages: int) -> None:
    page = cut(np.arange(count), 1, 60)
    assert (page.pages, page.total, len(page.rows)) == (pages, count, min(count, 60))


def test_a_selection_can_not_be_written_to() -> None:
    index, *_ = make_index(20)
    with pytest.raises(ValueError, match="read-only"):
        index.select(Filters())[0] = 1


def test_predictions_of_rows_that_are_not_there_are_refused() -> None:
    found = Predictions(
        np.array(["dev"]), np.array(["x"]), np.array([7]), np.array([0]), np.ones((1, 1), "f4")
    )
    with pytest.raises(ValueError, match="rows that the store doesn't have"):
        Told.spread("m", "m", {}, found, 7)
