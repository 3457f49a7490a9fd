"""Train, dev and test: which row belongs where."""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from featurestore._records import SPLITS
from featurestore.errors import SourceError


def parse_ratio(text: str) -> tuple[int, int, int]:
    """Return the three parts of a text such as "80/10/10".

    Raises
    ------
    SourceError
        If it isn't three whole numbers of which the first is positive.
    """
    parts = text.split("/")
    if len(parts) != 3 or not all(p.isascii() and p.isdigit() and len(p) < 7 for p in parts):
        raise SourceError(f"--split is {text!r}; give train/dev/test, such as 80/10/10")
    train, dev, test = (int(p) for p in parts)
    if train == 0:
        raise SourceError(f"--split is {text!r}; the train part can't be 0")
    return train, dev, test


def assign_splits(
    labels: Sequence[int],
    given: Sequence[str],
    hashes: Sequence[str],
    ratio: tuple[int, int, int],
    seed: int,
) -> npt.NDArray[np.uint8]:
    """Return the split of each row: 0 train, 1 dev, 2 test.

    Splits that the source gives are kept. The rest is dealt out label by label, so that each split
    has the same mix of labels, in an order that depends on nothing but the images' bytes and the
    seed. Where the source gives all rows a split but lacks one of the three, that one is drawn from
    its train rows, in the ratio that train and it have.

    Parameters
    ----------
    labels : sequence of int (n,)
    given : sequence of str (n,)
        "train", "dev", "test" or "".
    hashes : sequence of str (n,)
        The images' sha256; no two are the same.
    ratio : (train, dev, test)
    seed : int

    Returns
    -------
    uint8 (n,)
    """
    splits = np.array([SPLITS.index(name) if name else 0 for name in given], np.uint8)
    open_rows = [i for i, name in enumerate(given) if not name]
    parts = list(ratio)
    if not open_rows:
        open_rows = [i for i, name in enumerate(given) if name == "train"]
        parts = [r if k == 0 or name not in given else 0 for k, (r, name) in _numbered(ratio)]

    by_label: dict[int, list[int]] = {}
    for row in open_rows:
        by_label.setdefault(labels[row], []).append(row)
    for rows in by_label.values():
        rows.sort(key=lambda row: hashlib.sha256(f"{seed}:{hashes[row]}".encode()).digest())
        ends = np.cumsum(_apportion(len(rows), parts))
        splits[rows] = np.searchsorted(ends, np.arange(len(rows)), side="right")
    return splits


def _numbered(ratio: tuple[int, int, int]) -> list[tuple[int, tuple[int, str]]]:
    return list(enumerate(zip(ratio, SPLITS, strict=True)))


def _apportion(total: int, parts: Sequence[int]) -> list[int]:
    """Divide ``total`` in the ratio of ``parts`` into whole numbers, by largest remainder."""
    exact = [total * part / sum(parts) for part in parts]
    shares = [int(x) for x in exact]
    by_remainder = sorted(range(len(parts)), key=lambda k: (shares[k] - exact[k], k))
    for k in by_remainder[: total - sum(shares)]:
        shares[k] += 1
    return shares
