"""What an address asks for, checked."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench.explore._catalogue import Catalogue
from bench.explore._index import SORTS, Filters
from featurestore import SPLITS

MOST_DIGITS = 9


class BadRequestError(Exception):
    """An address or a body makes no sense; ``str(error)`` says why, in one line."""


def read_filters(query: Mapping[str, str], catalogue: Catalogue) -> tuple[Filters, int]:
    """Return the filters and the page that a query asks for.

    Raises
    ------
    BadRequestError
        If it has an unknown name or value.
    """
    known = ("label", "split", "model", "predicted", "answer", "models", "sort", "page")
    check_names(query, known)
    models = [told.key for told in catalogue.told]
    changed: dict[str, Any] = {
        "label": _place(query, "label", catalogue.store.label_names),
        "split": _place(query, "split", SPLITS),
        "model": _place(query, "model", models) or 0,
        "predicted": _place(query, "predicted", catalogue.answer_names),
        "answer": _word(query, "answer", ("right", "wrong")),
        "models": _word(query, "models", ("agree", "differ")),
        "sort": _word(query, "sort", SORTS) or "row",
    }
    return Filters(**changed), read_page(query)


def read_page(query: Mapping[str, str]) -> int:
    """Return the page that a query asks for, from 1.

    Raises
    ------
    BadRequestError
    """
    number = read_number("page", query.get("page", "1"))
    if not number:
        raise BadRequestError("page: they are counted from 1")
    return number


def read_number(name: str, text: str) -> int:
    """Return a number of 0 or more.

    Raises
    ------
    BadRequestError
    """
    if not (text.isascii() and text.isdecimal()) or len(text) > MOST_DIGITS:
        raise BadRequestError(f"{name}: must be a whole number")
    return int(text)


def read_kind(query: Mapping[str, str], kinds: Sequence[str]) -> str | None:
    """Return the kind of failure that a query asks for, or None.

    Raises
    ------
    BadRequestError
    """
    return _word(query, "kind", kinds) or None


def check_names(query: Mapping[str, str], known: Sequence[str]) -> None:
    """Raise BadRequestError if a query has a name that is not known."""
    for name in query:
        if name not in known:
            raise BadRequestError(f"the address may name {', '.join(known)}, and nothing else")


def _place(query: Mapping[str, str], name: str, there: Sequence[str]) -> int | None:
    word = _word(query, name, there)
    return there.index(word) if word else None


def _word(query: Mapping[str, str], name: str, there: Sequence[str]) -> str:
    word = query.get(name, "")
    if word and word not in there:
        raise BadRequestError(f"{name}: must be one of {', '.join(there) or 'none, as there are'}")
    return word
