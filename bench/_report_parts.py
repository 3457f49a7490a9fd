"""What the report's template is given: tables as text, with how strongly cells are shaded."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

DEEPEST = 45  # percent of a shade's colour: text on it keeps a contrast of over 4.5 to 1


@dataclass(frozen=True)
class Table:
    """A table of text; the first column names the rows.

    Attributes
    ----------
    name : str
        Unique in the page; for those who hear it.
    caption : str
    header : sequence of str
    rows : sequence of sequence of str
    words : frozenset of int
        Columns of words, to be aligned left; others are numbers.
    strong : frozenset of (int, int)
        Cells to be pointed out, by row and column.
    """

    name: str
    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: frozenset[int] = frozenset({0})
    strong: frozenset[tuple[int, int]] = frozenset()


@dataclass(frozen=True)
class Cell:
    """A shaded cell.

    Attributes
    ----------
    text, small : str
    shade : int
        Percent of the shade's colour.
    kind : str
        Which colour that is.
    """

    text: str
    small: str = ""
    shade: int = 0
    kind: Literal["plain", "right", "wrong"] = "plain"


@dataclass(frozen=True)
class Heat:
    """A table of shaded cells.

    Attributes
    ----------
    name : str
        Unique in the page; for those who hear it.
    caption, down, across : str
        ``down`` and ``across`` say what rows and columns are.
    columns : sequence of str
    rows : sequence of (str, sequence of Cell)
    """

    name: str
    caption: str
    down: str
    across: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Cell]]] = field(default_factory=list)

    def tall(self) -> "Heat":
        """Return it with the longer of its sides downwards, which even a phone has space for."""
        if len(self.columns) <= len(self.rows):
            return self
        turned = [
            (column, [cells[i] for _, cells in self.rows]) for i, column in enumerate(self.columns)
        ]
        names = [name for name, _ in self.rows]
        return Heat(self.name, self.caption, self.across, self.down, names, turned)


def shade(share: float) -> int:
    """Return how strongly to shade a cell for a share within 0..1."""
    return round(DEEPEST * min(max(share, 0.0), 1.0))


def of_share(share: float | None) -> Cell:
    """Return a cell that shows a share in percent, or that there is none.

    Most such shares are high; squares tell those apart that text alone would have to.
    """
    return Cell("–") if share is None else Cell(f"{100 * share:.1f}", shade=shade(share**2))
