"""What a store gives a model to learn: embeddings and labels by split, as they are or grouped."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from bench._errors import BenchError
from bench._models import Input
from bench._records import Majority, StoreAbout
from featurestore import SPLITS, FeatureStore
from featurestore._layout import images_name
from featurestore._place import LocalPlace
from featurestore._rows import RowReader, Rows

# Mikels' eight by how they feel, as the emotion literature has them.
NAMED_GROUPS: dict[str, dict[str, tuple[str, ...]]] = {
    "polarity": {
        "positive": ("amusement", "awe", "contentment", "excitement"),
        "negative": ("anger", "disgust", "fear", "sadness"),
    }
}


def parse_groups(texts: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Return labels by group from texts such as "positive=awe,contentment" or "polarity".

    Raises
    ------
    BenchError
        If a text can't be read, or a group or a label comes twice.
    """
    groups: dict[str, tuple[str, ...]] = {}
    for text in texts:
        if text in NAMED_GROUPS:
            found = NAMED_GROUPS[text]
        else:
            name, _, labels = text.partition("=")
            names = tuple(label.strip() for label in labels.split(",") if label.strip())
            if not name.strip() or not names:
                raise BenchError(
                    f"--group {text}: give NAME=LABEL,LABEL or one of {', '.join(NAMED_GROUPS)}"
                )
            found = {name.strip(): names}
        for name in found:
            if name in groups:
                raise BenchError(f"--group: {name!r} comes twice")
        groups |= found
    every = [label for labels in groups.values() for label in labels]
    for label in every:
        if every.count(label) > 1:
            raise BenchError(f"--group: the label {label!r} is in two groups or twice in one")
    if len(groups) == 1:
        raise BenchError("--group: one group alone leaves nothing to tell apart; give another")
    return groups


@dataclass(frozen=True)
class Split:
    """One split of a data set.

    Attributes
    ----------
    X : float32 (n, features), or Rows of uint8 (n, side, side, 3)
    y : int64 (n,)
    strength : float32 (n, labels)
        The share of people who saw each label.
    rows : int64 (n,), in the store
    """

    X: npt.NDArray[np.float32] | Rows
    y: npt.NDArray[np.int64]
    strength: npt.NDArray[np.float32]
    rows: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Dataset:
    """A store as models see it.

    Attributes
    ----------
    store : FeatureStore
    groups : dict of tuple of str
        Labels by group, or empty: labels as they are. Images of labels in no group are left out.

    Raises
    ------
    BenchError
        If the store has no such label.
    """

    store: FeatureStore
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for label in (label for labels in self.groups.values() for label in labels):
            if label not in self.store.label_names:
                raise BenchError(
                    f"--group: {self.store.path} has no label {label!r}; it has "
                    f"{', '.join(self.store.label_names)}"
                )

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the labels or of the groups, in the order of their numbers."""
        return tuple(self.groups) if self.groups else self.store.label_names

    def rows(self, split: str) -> npt.NDArray[np.int64]:
        """Return the store's rows of a split, int64 (n,), without weakly labelled ones."""
        rows = self.store.rows(split)
        return rows[(self._labels[rows] >= 0) & ~self.store.is_weak[rows]]

    def weak_rows(self) -> npt.NDArray[np.int64]:
        """Return the weakly labelled rows of the train split, int64 (n,)."""
        rows = self.store.rows("train")
        return rows[(self._labels[rows] >= 0) & self.store.is_weak[rows]]

    def labels(self, split: str) -> npt.NDArray[np.int64]:
        """Return the label of each of them, int64 (n,)."""
        return self._labels[self.rows(split)]

    def lacks(self, learns_from: Input) -> str:
        """Return what the store lacks for a model to learn from, or ""."""
        if learns_from in ("images", "weak images") and len(self.store.image_sizes) == 1:
            return "needs larger images: extract into another --store with --image-size 160"
        if learns_from == "weak images" and not len(self.weak_rows()):
            return "needs weakly labelled images: extract with --keep all"
        return ""

    def splits(self, learns_from: Input = "embeddings") -> dict[str, Split]:
        """Return what a model learns from, by split; embeddings in memory, images not."""
        if learns_from not in self._splits:
            self._splits[learns_from] = self._make_splits(learns_from)
        return self._splits[learns_from]

    def reader(self, learns_from: Input) -> RowReader:
        """Return what reads embeddings, float32 (n, dims), or images, uint8 (n, side, side, 3)."""
        if learns_from == "embeddings":
            name = f"embeddings/{self.store.backbones[0]}"
        else:
            sizes = self.store.image_sizes
            name = images_name(sizes[0] if learns_from == "thumbnails" else sizes[-1])
        self._check(name)
        return self.store.reader(name)

    @cached_property
    def _splits(self) -> dict[str, dict[str, Split]]:
        """What was made for models before."""
        return {}

    def _check(self, array: str) -> None:
        """See to it that results are on the data that the store's fingerprint stands for.

        On a disk that takes a second for a gigabyte; over a network it would fetch all twice.
        """
        if array not in self._checked and isinstance(self.store.place, LocalPlace):
            self.store.check(array)
            self._checked.add(array)

    @cached_property
    def _checked(self) -> set[str]:
        """The arrays that are known to be sound."""
        return set()

    def _make_splits(self, learns_from: Input) -> dict[str, Split]:
        found = {}
        for split in SPLITS:
            weak = split == "train" and learns_from == "weak images"
            rows = self.weak_rows() if weak else self.rows(split)
            X: npt.NDArray[np.float32] | Rows
            if learns_from == "embeddings":
                X = self._embeddings[rows]
            else:
                X = Rows(self.reader(learns_from), rows)
            found[split] = Split(X, self._labels[rows], self._strength[rows], rows)
        return found

    @cached_property
    def _embeddings(self) -> npt.NDArray[np.float32]:
        """All embeddings, float32 (n, dims)."""
        return np.asarray(self.reader("embeddings")[:])

    @cached_property
    def _strength(self) -> npt.NDArray[np.float32]:
        """Votes of all rows for labels or groups, float32 (n, labels)."""
        strength = self.store.label_strength
        if not self.groups:
            return strength
        parts = [strength[:, self._ids(labels)].sum(axis=1) for labels in self.groups.values()]
        return np.stack(parts, axis=1)

    @cached_property
    def _labels(self) -> npt.NDArray[np.int64]:
        """The label of each of the store's rows, int64 (n,); -1 for those left out."""
        if not self.groups:
            return self.store.labels
        table = np.full(len(self.store.label_names), -1)
        for number, labels in enumerate(self.groups.values()):
            table[self._ids(labels)] = number
        return np.asarray(table[self.store.labels])

    def _ids(self, labels: tuple[str, ...]) -> list[int]:
        return [self.store.label_names.index(label) for label in labels]

    @cached_property
    def image_ids(self) -> npt.NDArray[np.str_]:
        """The first 16 digits of the SHA-256 of each row's file, str (n,)."""
        manifest = self.store.manifest()
        kept = manifest["status"] == "kept"
        ids = np.zeros(len(self.store), "<U16")
        ids[manifest["row"][kept]] = manifest["sha256"][kept].tolist()
        return ids

    def describe(self) -> StoreAbout:
        """Return what results say about the data they are on."""
        store, source = self.store, self.store.attributes["source"]
        near = store.attributes.get("near_duplicates")
        names = self.label_names
        counts = {s: np.bincount(self.labels(s), minlength=len(names)) for s in SPLITS}
        train = counts["train"]
        majority = int(train.argmax()) if train.any() else None
        shares = {
            split: float(count[majority] / count.sum())
            if majority is not None and count.any()
            else None
            for split, count in counts.items()
        }
        return StoreAbout(
            title=source["title"],
            synthetic=source["synthetic"],
            is_fi=source["is_fi"],
            fingerprint=store.fingerprint,
            label_names=list(names),
            groups={name: list(labels) for name, labels in self.groups.items()},
            backbone=store.backbones[0],
            embedding=store.attributes["backbones"][store.backbones[0]],
            rows={split: int(count.sum()) for split, count in counts.items()},
            image_sizes=list(store.image_sizes),
            labels_trained=int((train > 0).sum()) or None,
            near_duplicates_across=near["across_given_splits"] if near else None,
            majority=Majority(
                label=None if majority is None else names[majority],
                **shares,
                correct=0 if majority is None else int(counts["test"][majority]),
                total=int(counts["test"].sum()),
            ),
        )
