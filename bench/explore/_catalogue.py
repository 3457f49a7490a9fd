"""Everything a page is told of a store and its results, as what JSON can hold."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench._errors import BenchError
from bench._records import SYNTHETIC, Results
from bench._results import read_results
from bench.explore._failed import Failed
from bench.explore._images import Images, NoSuchImageError
from bench.explore._index import Filters, Index
from bench.explore._neighbours import Neighbours
from bench.explore._told import Told, read_told
from featurestore import SPLITS, FeatureStore

PAGE = 60  # images or records
NEIGHBOURS = 12
MOST_ALIKE = 24  # near-duplicates that are shown of a group


class Catalogue:
    """A store, opened to be looked at, with the results on it if there are any.

    Parameters
    ----------
    store : FeatureStore
    results : Path or None
        The folder of results.

    Attributes
    ----------
    store : FeatureStore
    folder : Path or None
    results : Results or None
    told : list of Told
        The best on dev first.
    answer_names : list of str
        What models may answer: the store's labels, or groups of them.
    index, images, neighbours, failed
        What answers questions about them.

    Raises
    ------
    BenchError
        If there are no results in the folder, or they are on another store or can't be read.
    StoreDamagedError
        If the store can't be read.
    """

    def __init__(self, store: FeatureStore, results: Path | None = None) -> None:
        self.store, self.folder = store, results
        self.results = None if results is None else _read(results, store)
        self.told: list[Told] = []
        self.answer_names = list(store.label_names)
        self.backbone = store.backbones[0]
        if results is not None and self.results is not None:
            self.told = list(read_told(results, self.results, len(store)))
            self.answer_names = self.results.store.label_names
            self.backbone = self.results.store.backbone
        self.index = Index(store.labels, store.splits, self.told)
        self.images = Images(store)
        self.neighbours = Neighbours(store.embeddings(self.backbone))
        self._manifest = store.manifest()
        self.failed = Failed(self._manifest)
        rows = self._manifest["row"]
        self._record = np.full(len(store), -1)
        self._record[rows[rows >= 0]] = np.flatnonzero(rows >= 0)

    def about(self) -> dict[str, Any]:
        """Return what the page's controls are made from."""
        store = self.store
        source = store.attributes["source"]
        by_label = np.bincount(store.labels, minlength=len(store.label_names)).tolist()
        by_split = np.bincount(store.splits, minlength=len(SPLITS)).tolist()
        return {
            "title": source["title"],
            "store": store.name,
            "results": self.folder.name if self.folder else None,
            "note": SYNTHETIC if source["synthetic"] else "",
            "fingerprint": store.fingerprint[:16],
            "images": len(store),
            "records": len(self._manifest["row"]),
            "labels": [
                {"name": name, "count": count}
                for name, count in zip(store.label_names, by_label, strict=True)
            ],
            "splits": [
                {"name": name, "count": count} for name, count in zip(SPLITS, by_split, strict=True)
            ],
            "answers": self.answer_names,
            "models": [{"key": told.key, "title": told.title, **told.about} for told in self.told],
            "kinds": self.failed.kinds(),
            "sizes": list(store.image_sizes),
            "backbone": self.backbone,
        }

    def browse(self, filters: Filters, number: int) -> dict[str, Any]:
        """Return a page of images."""
        page = self.index.page(filters, number, PAGE)
        told = self.told[filters.model] if self.told else None
        return {
            "total": page.total,
            "of": len(self.store),
            "page": page.number,
            "pages": page.pages,
            "items": [self._card(row, told) for row in page.rows.tolist()],
        }

    def _card(self, row: int, told: Told | None) -> dict[str, Any]:
        card = self._brief(row) | {"answers": int(self.index.answers[row])}
        if told is not None and told.place[row] >= 0:
            card["predicted"] = self.answer_names[told.predicted[row]]
            card["right"] = bool(told.right[row])
            card["sureness"] = float(told.sureness[row])
        return card

    def _brief(self, row: int) -> dict[str, Any]:
        store = self.store
        return {
            "row": row,
            "label": store.label_names[store.labels[row]],
            "split": SPLITS[store.splits[row]],
        }

    def image(self, row: int) -> dict[str, Any]:
        """Return everything that is known of an image but its neighbours.

        Raises
        ------
        NoSuchImageError
        """
        self._check(row)
        record = int(self._record[row])
        manifest = self._manifest
        told = {name: str(manifest[name][record]) for name in ("id", "source", "format", "sha256")}
        numbers = {name: int(manifest[name][record]) for name in ("width", "height", "bytes")}
        votes = [
            {"label": name, "share": float(share), "agree": agree, "disagree": disagree}
            for name, share, agree, disagree in zip(
                self.store.label_names,
                self.store.label_strength[row],
                manifest["agree"][record].tolist(),
                manifest["disagree"][record].tolist(),
                strict=True,
            )
            if share or agree or disagree
        ]
        return {
            **self._brief(row),
            **told,
            **numbers,
            "weak": bool(self.store.is_weak[row]),
            "votes": sorted(votes, key=lambda vote: -vote["share"]),
            "group": self._group(row, record),
            "models": [self._answer(row, model) for model in self.told if model.place[row] >= 0],
        }

    def _group(self, row: int, record: int) -> dict[str, Any]:
        """Return the near-duplicates of an image, without itself."""
        groups = self._manifest.get("near_group")
        if groups is None or groups[record] < 0:
            return {"number": None, "total": 0, "images": []}
        same = self._manifest["row"][(groups == groups[record]) & (self._manifest["row"] >= 0)]
        others = np.sort(same[same != row])
        return {
            "number": int(groups[record]),
            "total": len(others),
            "images": [self._brief(other) for other in others[:MOST_ALIKE].tolist()],
        }

    def _answer(self, row: int, model: Told) -> dict[str, Any]:
        shares = model.probabilities[model.place[row]]
        return {
            "key": model.key,
            "title": model.title,
            **model.about,
            "right": bool(model.right[row]),
            "true": self.answer_names[model.label[model.place[row]]],
            "probabilities": [
                [self.answer_names[i], float(shares[i])]
                for i in np.argsort(-shares, kind="stable").tolist()
            ],
        }

    def near_row(self, row: int) -> list[dict[str, Any]]:
        """Return the images nearest to one of the store's.

        Raises
        ------
        NoSuchImageError
        """
        self._check(row)
        return self._neighbours(*self.neighbours.of_row(row, NEIGHBOURS))

    def near(self, embedding: npt.NDArray[np.float32]) -> list[dict[str, Any]]:
        """Return the images nearest to an embedding, float32 (dims,)."""
        return self._neighbours(*self.neighbours.of(embedding, NEIGHBOURS))

    def _neighbours(
        self, rows: npt.NDArray[np.int64], similarities: npt.NDArray[np.float64]
    ) -> list[dict[str, Any]]:
        return [
            self._brief(row) | {"similarity": similarity}
            for row, similarity in zip(rows.tolist(), similarities.tolist(), strict=True)
        ]

    def same_file(self, sha256: str) -> int | None:
        """Return the row of the image whose file has this digest, if there is one."""
        found: Sequence[int] = self._manifest["row"][self._manifest["sha256"] == sha256].tolist()
        return next((row for row in found if row >= 0), None)

    def _check(self, row: int) -> None:
        if not 0 <= row < len(self.store):
            raise NoSuchImageError(row)


def _read(folder: Path, store: FeatureStore) -> Results:
    found = read_results(folder)
    if found.store.fingerprint != store.fingerprint:
        raise BenchError(
            f"{folder}: holds results on another store ({found.store.title}, fingerprint "
            f"{found.store.fingerprint[:12]}); give another --results"
        )
    return found
