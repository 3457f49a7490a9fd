"""Votes of sources that have none: an image's label counts as one that agrees."""

from featurestore.errors import SourceError

MOST_LABELS = 1000


def one_vote_each(labels: int) -> list[tuple[int, ...]]:
    """Return the votes of a record of each label: one for it, and none for the others."""
    return [tuple(int(i == label) for i in range(labels)) for label in range(labels)]


def refuse_too_many(place: str, labels: int) -> None:
    """Refuse what can't be labels: a column of addresses has a "label" for each image.

    Raises
    ------
    SourceError
    """
    if labels > MOST_LABELS:
        raise SourceError(
            f"{place}: has {labels:,} different labels, more than {MOST_LABELS:,}; is that what "
            "holds the labels?"
        )
