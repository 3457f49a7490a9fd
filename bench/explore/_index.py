"""Which images to show: filters, order and pages, over NumPy arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from bench.explore._told import Told

SORTS = ("row", "surest", "unsure", "answers")
_KEPT = 64  # selections; one of 100,000 rows takes 0.8 MB


@dataclass(frozen=True)
class Filters:
    """What is asked for; None and "" stand for anything.

    Attributes
    ----------
    label : int or None
        The true label.
    split : int or None
        0 train, 1 dev, 2 test.
    model : int
        The model that ``predicted``, ``answer`` and the order by sureness are about.
    predicted : int or None
        What it says.
    answer : {"", "right", "wrong"}
        Whether that is right.
    models : {"", "agree", "differ"}
        Whether all models say the same, of images on which at least two say something.
    sort : {"row", "surest", "unsure", "answers"}
        As stored, by that model's sureness, or by the number of different answers.
    """

    label: int | None = None
    split: int | None = None
    model: int = 0
    predicted: int | None = None
    answer: Literal["", "right", "wrong"] = ""
    models: Literal["", "agree", "differ"] = ""
    sort: Literal["row", "surest", "unsure", "answers"] = "row"


@dataclass(frozen=True)
class Page:
    """A part of what was found.

    Attributes
    ----------
    rows : int64 (k,)
    total : int
        How many were found.
    number, pages : int
        Which page, from 1, of how many; there is at least one.
    """

    rows: npt.NDArray[np.int64]
    total: int
    number: int
    pages: int


class Index:
    """A store's n images, to be filtered.

    Parameters
    ----------
    labels : int64 (n,)
    splits : uint8 (n,)
    told : sequence of Told

    Attributes
    ----------
    answers : int64 (n,)
        How many different answers the models give of each image.
    """

    def __init__(
        self,
        labels: npt.NDArray[np.int64],
        splits: npt.NDArray[np.uint8],
        told: Sequence[Told] = (),
    ) -> None:
        self._labels, self._splits, self._told = labels, splits, told
        self.answers, self._speakers = _count_answers([t.predicted for t in told], len(labels))
        # Turning a page asks for the same selection again.
        self._kept = lru_cache(_KEPT)(self._select)

    def select(self, filters: Filters) -> npt.NDArray[np.int64]:
        """Return the rows that fit, int64 (k,), in the order asked for; not to be written to.

        Without models, filters by their answers fit nothing.
        """
        return self._kept(filters)

    def page(self, filters: Filters, number: int, size: int) -> Page:
        """Return a page of them; beyond the last it is empty."""
        return cut(self.select(filters), number, size)

    def _select(self, filters: Filters) -> npt.NDArray[np.int64]:
        fits = np.ones(len(self._labels), bool)
        if filters.label is not None:
            fits &= self._labels == filters.label
        if filters.split is not None:
            fits &= self._splits == filters.split
        told = self._told[filters.model] if self._told else None
        if filters.predicted is not None:
            fits &= told is not None and told.predicted == filters.predicted
        if filters.answer:
            fits &= told is not None and told.right == (filters.answer == "right")
        if filters.models:
            same = self.answers == 1
            fits &= (self._speakers > 1) & (same if filters.models == "agree" else ~same)
        rows = self._sort(np.flatnonzero(fits), filters.sort, told)
        rows.flags.writeable = False
        return rows

    def _sort(
        self, rows: npt.NDArray[np.int64], sort: str, told: Told | None
    ) -> npt.NDArray[np.int64]:
        """Return rows in an order; equal ones, and those without an answer, as stored."""
        if sort == "answers":
            return rows[np.argsort(-self.answers[rows], kind="stable")]
        if sort == "row" or told is None:
            return rows
        sureness = told.sureness[rows]
        if sort == "unsure":
            sureness = np.where(sureness < 0, -2, -sureness)
        return rows[np.argsort(-sureness, kind="stable")]


def cut(rows: npt.NDArray[np.int64], number: int, size: int) -> Page:
    """Return a page of rows, from 1; beyond the last it is empty."""
    pages = max(1, -(-len(rows) // size))
    start = (number - 1) * size
    return Page(rows[start : start + size], len(rows), number, pages)


def _count_answers(
    predicted: Sequence[npt.NDArray[np.int64]], count: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the numbers of different answers and of models that give one, int64 (n,) each."""
    if not predicted:
        return np.zeros(count, np.int64), np.zeros(count, np.int64)
    ordered = np.sort(np.stack(predicted, axis=1), axis=1)  # -1 for no answer comes first
    new = np.diff(ordered, axis=1, prepend=-1) > 0
    return new.sum(axis=1), (ordered >= 0).sum(axis=1)
