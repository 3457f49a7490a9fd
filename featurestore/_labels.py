"""Label names, and how a label as somebody wrote it becomes an id."""

from collections.abc import Iterable, Sequence

from featurestore.errors import SourceError

# Mikels et al. 2005, in the order and with the ids 0..7 that the FI data set's users agree on.
MIKELS = (
    "amusement",
    "anger",
    "awe",
    "contentment",
    "disgust",
    "excitement",
    "fear",
    "sadness",
)


def order_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return label names in canonical order: Mikels' order where all are his, else sorted."""
    unique = sorted(set(names))
    if {name.lower() for name in unique} <= set(MIKELS):
        return MIKELS
    return tuple(unique)


class LabelParser:
    """Turns label texts (names or integers) into ids of ``names``.

    Integers may count from 0 or from 1. Which one is told from the whole column: a 0 means from 0,
    a value equal to ``len(names)`` means from 1. Where neither occurs, or both do, the answer is
    asked for (``base``), never guessed.

    Parameters
    ----------
    names : sequence of str
        Label names in the order of their ids.
    texts : iterable of str
        The whole label column, once.
    base : {0, 1} or None
        What integers count from, when the caller knows.

    Raises
    ------
    SourceError
        If integers can't be told apart.
    """

    def __init__(self, names: Sequence[str], texts: Iterable[str], base: int | None = None) -> None:
        self.names = tuple(names)
        self._ids = {name.lower(): i for i, name in enumerate(self.names)}
        self._ids |= {name: i for i, name in enumerate(self.names)}  # they may differ in case alone
        integers = {int(t) for t in {text.strip() for text in texts} if _is_integer(t)}
        # A name that looks like a number ("7" as a class of its own) is a name.
        integers -= {int(name) for name in self.names if _is_integer(name)}
        self.base = base if base is not None or not integers else self._find_base(integers)

    def _find_base(self, integers: set[int]) -> int:
        top = len(self.names)
        from_zero, from_one = 0 in integers, top in integers
        if from_zero and from_one:
            raise SourceError(
                f"labels hold both 0 and {top}, but there are only {top} labels "
                f"({', '.join(self.names)}): correct the label column"
            )
        if not from_zero and not from_one:
            raise SourceError(
                f"integer labels hold neither 0 nor {top}, so they may count from 0 or from 1: "
                "say which with --label-base 0 or --label-base 1"
            )
        return 0 if from_zero else 1

    def parse(self, text: str) -> int:
        """Return the id of one label text.

        Raises
        ------
        ValueError
            If the text is none of the names and no integer in range.
        """
        text = text.strip()
        if (found := self._ids.get(text, self._ids.get(text.lower()))) is not None:
            return found
        if self.base is not None and _is_integer(text):
            label = int(text) - self.base
            if 0 <= label < len(self.names):
                return label
        raise ValueError(f"label {text!r} is none of {', '.join(self.names)}")


def _is_integer(text: str) -> bool:
    # Not str.isdigit: that takes superscripts too, and int() refuses those.
    return text.isascii() and text.isdigit() and len(text) < 10
