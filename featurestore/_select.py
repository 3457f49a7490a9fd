"""From outcomes to rows: duplicates, labels and splits, decided once everything is known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from featurestore._records import Record
from featurestore._split import assign_splits
from featurestore._staging import Outcomes
from featurestore._votes import KeepRule, strength

# Which of several copies of an image stays: a published test set keeps its images.
_PRECEDENCE = {"test": 0, "dev": 1, "train": 2, "": 3}


@dataclass(frozen=True)
class Selection:
    """The rows of a store and the fate of every record.

    Attributes
    ----------
    records : int64 (n,), which record each row holds; ascending
    labels : int64 (n,)
    label_strength : float32 (n, labels)
    splits : uint8 (n,); 0 train, 1 dev, 2 test
    kind, detail : list of str (m,); "" for records that were kept
    label_of_record : int64 (m,); the label by the record's own votes, -1 for none
    """

    records: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    label_strength: npt.NDArray[np.float32]
    splits: npt.NDArray[np.uint8]
    kind: list[str]
    detail: list[str]
    label_of_record: npt.NDArray[np.int64]


def select(
    records: Sequence[Record],
    outcomes: Outcomes,
    keep: KeepRule,
    ratio: tuple[int, int, int],
    seed: int,
) -> Selection:
    """Decide which records become rows, with which label and in which split.

    Records with the same bytes become one row, with the votes of all of them.

    Parameters
    ----------
    records : sequence of Record (m,), in store order
    outcomes : Outcomes of all of them
    keep : KeepRule
    ratio : (train, dev, test)
    seed : int
    """
    kind = [record.kind or outcomes.kind[i] or "" for i, record in enumerate(records)]
    detail = [record.detail or outcomes.detail[i] for i, record in enumerate(records)]

    copies: dict[str, list[int]] = {}
    for i, failed in enumerate(kind):
        if not failed:
            copies.setdefault(outcomes.sha256[i], []).append(i)

    rows, labels = [], []
    votes: list[tuple[list[int], list[int]]] = []
    for group in copies.values():
        first = min(group, key=lambda i: (_PRECEDENCE[records[i].split], i))
        agree = [sum(column) for column in zip(*(records[i].agree for i in group), strict=True)]
        against = [sum(c) for c in zip(*(records[i].disagree for i in group), strict=True)]
        label = keep.label(agree, against)
        for i in group:
            if label < 0:  # copies whose votes contradict each other
                kind[i], detail[i] = "votes", f"agree {agree}, disagree {against} over all copies"
            elif i != first:
                kind[i], detail[i] = "duplicate", f"same bytes as {records[first].id}"
        if label >= 0:
            rows.append(first)
            labels.append(label)
            votes.append((agree, against))

    by_row = sorted(range(len(rows)), key=rows.__getitem__)
    rows = [rows[k] for k in by_row]
    labels = [labels[k] for k in by_row]
    size = len(records[0].agree) if records else 0
    counts = np.array([votes[k] for k in by_row], np.int64).reshape(-1, 2, size)
    return Selection(
        records=np.array(rows, np.int64),
        labels=np.array(labels, np.int64),
        label_strength=strength(counts[:, 0], counts[:, 1]),
        splits=assign_splits(
            labels,
            [records[i].split for i in rows],
            [outcomes.sha256[i] for i in rows],
            ratio,
            seed,
        ),
        kind=kind,
        detail=detail,
        label_of_record=np.array([keep.label(r.agree, r.disagree) for r in records], np.int64),
    )
