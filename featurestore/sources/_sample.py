"""The embedded sample: synthetic images, so that everything runs with nothing at hand."""

from featurestore._labels import MIKELS
from featurestore._records import Record, Source
from featurestore.errors import NotFound
from featurestore.sources import _synthetic
from featurestore.sources._votes import one_vote_each


def read_sample() -> Source:
    """Return the synthetic sample of the eight emotions as a source."""
    one_vote = one_vote_each(len(MIKELS))
    none = (0,) * len(MIKELS)
    records = [Record(name, one_vote[label], none) for name, label in _synthetic.names()]
    return Source(
        kind="sample",
        title="synthetic sample",
        label_names=MIKELS,
        records=sorted(records, key=lambda record: record.id),
        fetch=_draw,
        synthetic=True,
    )


def _draw(name: str) -> bytes:
    try:
        return _synthetic.render(name)
    except KeyError:
        raise NotFound(f"the sample has no image {name!r}") from None
