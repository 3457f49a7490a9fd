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
    splits = np.array([SPLITS.index(name) if name else 0 for name in given], np.uint8)
    open_rows = [i for i, name in enumerate(given) if not name]
    parts = list(ratio)
    fixed: dict[int, int] = {}  # the split of each group that has a given one
    if open_rows:
        for group, name in zip(groups, given, strict=True):
            if name:
                fixed[group] = max(fixed.get(group, 0), SPLITS.index(name))
    else:
        open_rows = [i for i, name in enumerate(given) if name == "train"]
        parts = [r if k == 0 or name not in given else 0 for k, (r, name) in _numbered(ratio)]

    members: dict[int, list[int]] = {}
    for row in open_rows:
        members.setdefault(groups[row], []).append(row)
    by_label: dict[int, list[list[int]]] = {}
    for group, rows in members.items():
        if group in fixed:
            splits[rows] = fixed[group]
            continue
        rows.sort(key=lambda row: _rank(seed, hashes[row]))
        by_label.setdefault(labels[rows[0]], []).append(rows)
    for units in by_label.values():
        units.sort(key=lambda rows: _rank(seed, hashes[rows[0]]))
        ends = np.cumsum(_apportion(sum(map(len, units)), parts))
        done = 0
        for rows in units:
            splits[rows] = np.searchsorted(ends, done, side="right")
            done += len(rows)
    return splits


def _rank(seed: int, image_hash: str) -> bytes:
    return hashlib.sha256(f"{seed}:{image_hash}".encode()).digest()


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
