"""From outcomes to rows: copies, labels and splits, decided once everything is known."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from featurestore._near_duplicates import color_layouts, find_groups, perceptual_hashes
from featurestore._records import SPLITS, Record
from featurestore._segments import Outcomes
from featurestore._split import assign_splits
from featurestore._store import FeatureStore
from featurestore._votes import KeepRule, strength
from featurestore.fetch import is_remote

# Which of several copies of an image stays: a published test set keeps its images.
_PRECEDENCE = {"test": 0, "dev": 1, "train": 2, "": 3}
# So many addresses with the same bytes: not a photograph, but what stands for removed ones.
PLACEHOLDER_URLS = 10
_BATCH = 4096  # images looked at in one go


@dataclass(frozen=True)
class Selection:
    """The new rows of a store and the fate of every record.

    Attributes
    ----------
    records : int64 (n,), which record each new row holds; ascending
    labels : int64 (n,)
    label_strength : float32 (n, labels)
    splits : uint8 (n,); 0 train, 1 dev, 2 test
    kind, detail : list of str (m,); "" for records that were kept
    label_of_record : int64 (m,); the label by the record's own votes, -1 for none
    hashes : uint64 (b + n,), the perceptual hashes of all rows, the store's b old ones first
    groups : int64 (b + n,); near-duplicates share one
    """

    records: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    label_strength: npt.NDArray[np.float32]
    splits: npt.NDArray[np.uint8]
    kind: list[str]
    detail: list[str]
    label_of_record: npt.NDArray[np.int64]
    hashes: npt.NDArray[np.uint64]
    groups: npt.NDArray[np.int64]


def select(
    records: Sequence[Record],
    outcomes: Outcomes,
    read_images: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.uint8]],
    keep: KeepRule,
    ratio: tuple[int, int, int],
    seed: int,
    base: FeatureStore | None = None,
) -> Selection:
    """Decide which records become rows, with which label and in which split.

    Records with the same bytes become one row, with the votes of all of them. Rows that a store has
    already stay as they are: what is the same as one of them is a duplicate, and what is nearly the
    same goes to its split.

    Parameters
    ----------
    records : sequence of Record (m,), in store order
    outcomes : Outcomes of all of them
    read_images : callable
        From records (k,) to their images, uint8 (k, 32, 32, 3).
    keep : KeepRule
    ratio : (train, dev, test)
    seed : int
    base : FeatureStore, optional
        The store that gets the rows, if it isn't a new one.
    """
    kind = [record.kind or outcomes.kind[i] or "" for i, record in enumerate(records)]
    detail = [record.detail or outcomes.detail[i] for i, record in enumerate(records)]
    old = _OldRows(base)

    copies: dict[str, list[int]] = {}
    for i, failed in enumerate(kind):
        if not failed and outcomes.segment[i] >= 0:
            copies.setdefault(outcomes.sha256[i], []).append(i)

    kept: list[tuple[int, int, list[int], list[int]]] = []  # record, label, votes for and against
    for sha256, group in copies.items():
        first = min(group, key=lambda i: (_PRECEDENCE[records[i].split], i))
        agree = [sum(column) for column in zip(*(records[i].agree for i in group), strict=True)]
        against = [sum(c) for c in zip(*(records[i].disagree for i in group), strict=True)]
        label = keep.label(agree, against)
        addresses = sum(is_remote(records[i].id) for i in group)
        for i in group:
            if addresses >= PLACEHOLDER_URLS:
                kind[i], detail[i] = "placeholder", f"{addresses} addresses gave the same bytes"
            elif sha256 in old.ids:
                kind[i], detail[i] = "duplicate", f"same bytes as {old.ids[sha256]}"
            elif label < 0:  # copies whose votes contradict each other
                kind[i], detail[i] = "votes", f"agree {agree}, disagree {against} over all copies"
            elif i != first:
                kind[i], detail[i] = "duplicate", f"same bytes as {records[first].id}"
        if not kind[first]:
            kept.append((first, label, agree, against))

    kept.sort()  # by record, each of which occurs once
    chosen = np.array([row[0] for row in kept], np.int64)
    labels = [row[1] for row in kept]
    size = len(records[0].agree) if records else 0
    counts = np.array([row[2:] for row in kept], np.int64).reshape(-1, 2, size)

    hashes, layouts = old.hashes, old.layouts()
    for part in np.array_split(chosen, len(chosen) // _BATCH + 1) if len(chosen) else []:
        images = read_images(part)
        hashes = np.concatenate([hashes, perceptual_hashes(images)])
        layouts = np.concatenate([layouts, color_layouts(images)])
    groups = find_groups(hashes, layouts)
    splits = assign_splits(
        [*old.labels, *labels],
        [*old.splits, *(records[i].split for i in chosen)],
        [*old.ids, *(outcomes.sha256[i] for i in chosen)],
        groups.tolist(),
        ratio,
        seed,
    )
    return Selection(
        records=chosen,
        labels=np.array(labels, np.int64),
        label_strength=strength(counts[:, 0], counts[:, 1]),
        splits=splits[len(old.hashes) :],
        kind=kind,
        detail=detail,
        label_of_record=np.array([keep.label(r.agree, r.disagree) for r in records], np.int64),
        hashes=hashes,
        groups=groups,
    )


class _OldRows:
    """What must be known of the rows that a store has already."""

    def __init__(self, store: FeatureStore | None) -> None:
        self._store = store
        self.ids: dict[str, str] = {}  # by sha256, in the order of the rows
        self.hashes = np.empty(0, np.uint64)
        self.labels: list[int] = []
        self.splits: list[str] = []
        if store is None:
            return
        manifest = store.manifest()
        kept = np.flatnonzero(manifest["row"] >= 0)
        kept = kept[np.argsort(manifest["row"][kept])]
        self.ids = dict(zip(manifest["sha256"][kept], manifest["id"][kept], strict=True))
        self.hashes = manifest["phash"][kept]
        self.labels = store.labels.tolist()
        self.splits = [SPLITS[split] for split in store.splits]

    def layouts(self) -> npt.NDArray[np.uint8]:
        """Return the colour layouts, uint8 (b, 192)."""
        parts = [color_layouts(np.empty((0, 32, 32, 3), np.uint8))]
        for start in range(0, len(self.hashes), _BATCH):
            assert self._store is not None
            parts.append(color_layouts(np.asarray(self._store.images[start : start + _BATCH])))
        return np.concatenate(parts)
