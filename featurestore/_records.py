"""A record: one image that a source names, before anything is fetched."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from featurestore._votes import KeepRule

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True, slots=True)
class Record:
    """One image that a source names.

    Attributes
    ----------
    id : str
        Path relative to the source, or URL: unique in the source, and what a fetcher understands.
    agree, disagree : tuple of int, one for each label
        Votes, summed over the rows that name this image. Where a source has no votes, its label
        counts as one that agrees.
    split : str
        The split that the source gives, or "".
    origin : str
        Where the record stands in the source, such as "amusement_1.csv:17".
    kind, detail : str
        Why it is left out before it is fetched, or "".
    """

    id: str
    agree: tuple[int, ...]
    disagree: tuple[int, ...]
    split: str = ""
    origin: str = ""
    kind: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Source:
    """What a source holds: its labels, its records, and how to get their bytes.

    Attributes
    ----------
    kind : {"sample", "folder", "csv", "h5", "img2dataset"}
    title : str
        What tables call it, such as "synthetic sample" or a folder's name.
    label_names : tuple of str
    records : sequence of Record, sorted by id
    fetch : callable
        Takes a record's id, returns its bytes or raises a FetchFailure; for ids that are no http or
        https address. Called from many threads.
    keep : KeepRule
        Which votes were enough.
    synthetic : bool
        Whether the images were drawn by a program.
    is_fi : bool
        Whether this is the FI data set of You et al. 2016.
    """

    kind: str
    title: str
    label_names: tuple[str, ...]
    records: Sequence[Record]
    fetch: Callable[[str], bytes]
    keep: KeepRule = field(default_factory=KeepRule)
    synthetic: bool = False
    is_fi: bool = False

    def fingerprint(self) -> str:
        """Return the sha256 (hex) of everything that the source says about its records."""
        digest = hashlib.sha256(repr(self.label_names).encode())
        for r in self.records:
            fields = (r.id, r.agree, r.disagree, r.split, r.kind)
            digest.update(repr(fields).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()


def in_store_order(records: Sequence[Record], seed: int) -> list[Record]:
    """Return the records in the order of the store's rows.

    The order is a shuffle that depends on nothing but ids and seed. So any stretch of a store is a
    random sample of its source, training may stream it from front to back, and requests to one
    host are spread over the whole run.
    """
    key = f"{seed}:".encode()

    def rank(record: Record) -> bytes:
        return hashlib.sha256(key + record.id.encode("utf-8", "surrogatepass")).digest()

    return sorted(records, key=rank)
