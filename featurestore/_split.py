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
    groups: Sequence[int],
    ratio: tuple[int, int, int],
    seed: int,
) -> npt.NDArray[np.uint8]:
    """Return the split of each row: 0 train, 1 dev, 2 test.

    Splits that are given are kept. The rest is dealt out label by label, so that each split has the
    same mix of labels, in an order that depends on nothing but the images' bytes and the seed. A
    group of near-duplicates goes to one split: that of its members with a given one, test before
    dev before train, or else the one that its first member is dealt.

    Where all rows have a given split but one of the three is lacking, that one is drawn from the
    train rows, in the ratio that train and it have.

    Parameters
    ----------
    labels : sequence of int (n,)
    given : sequence of str (n,)
        "train", "dev", "test" or "".
    hashes : sequence of str (n,)
        The images' sha256; no two are the same.
    groups : sequence of int (n,)
        Near-duplicates have the same.
    ratio : (train, dev, test)
    seed : int

    Returns
    -------
    uint8 (n,)
    """
    codes = {name: k for k, name in enumerate(SPLITS)}
    told = np.array([codes.get(name, -1) for name in given], np.int64)  # -1: not given
    splits = np.maximum(told, 0).astype(np.uint8)
    parts = list(ratio)
    _, unit_of, counts = np.unique(
        np.asarray(groups, np.int64), return_inverse=True, return_counts=True
    )
    fixed = np.full(len(counts), -1)  # the split of each group that has a given one
    rows = np.flatnonzero(told < 0)
    if len(rows):
        np.maximum.at(fixed, unit_of, told)
    else:
        rows = np.flatnonzero(told == codes["train"])
        parts = [r if k == 0 or name not in given else 0 for k, (r, name) in _numbered(ratio)]
    kept = fixed[unit_of[rows]]
    splits[rows[kept >= 0]] = kept[kept >= 0]
    rows = rows[kept < 0]

    # In the order of their ranks a group's first row speaks for it.
    rows = rows[_rank_order(seed, [hashes[row] for row in rows.tolist()])]
    units, first, unit_of, sizes = np.unique(
        unit_of[rows], return_index=True, return_inverse=True, return_counts=True
    )
    label_of = np.asarray(labels, np.int64)[rows[first]]
    split_of = np.zeros(len(units), np.uint8)
    for label in np.unique(label_of):
        here = np.flatnonzero(label_of == label)
        here = here[np.argsort(first[here])]
        done = np.cumsum(sizes[here])
        ends = np.cumsum(_apportion(int(done[-1]), parts))
        split_of[here] = np.searchsorted(ends, done - sizes[here], side="right")
    splits[rows] = split_of[unit_of]
    return splits


def _rank_order(seed: int, image_hashes: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the order, int64 (n,), of images by the sha256 of the seed and their hash."""
    digests = b"".join(hashlib.sha256(f"{seed}:{h}".encode()).digest() for h in image_hashes)
    # The first 64 of the 256 bits tell images apart, and sort seven times as fast as all of them.
    first = np.frombuffer(digests, ">u8")[::4].astype(np.uint64)
    return np.argsort(first, kind="stable")


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
