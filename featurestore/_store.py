"""Reading a store."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from featurestore._commit import is_committing
from featurestore._decode import THUMBNAIL
from featurestore._files import checksum
from featurestore._layout import FORMAT, FORMAT_VERSION, images_name
from featurestore._objects import ROOT, STAGING, hash_objects, list_objects
from featurestore._place import LocalPlace, Location, Place, is_url, place_of
from featurestore._records import SPLITS
from featurestore._rows import RowReader, ZarrRows
from featurestore.errors import (
    StoreDamagedError,
    StoreError,
    StoreNotFoundError,
    StoreUnfinishedError,
    StoreVersionError,
    in_short,
)

FEWEST_VOTES = 3  # below, a vote is no agreement


def read_root(path: Place) -> dict[str, Any]:
    """Return the attributes of a finished store's root.

    Raises
    ------
    StoreNotFoundError, StoreUnfinishedError, StoreVersionError, StoreDamagedError,
    StoreUnreachableError
    """
    if is_committing(path):
        raise StoreUnfinishedError(
            f"{path}: files are on their way into it; wait for its `bench extract` to end, or give "
            "that command again if it was stopped"
        )
    try:
        attributes = json.loads(path.read(ROOT))["attributes"]
    except (FileNotFoundError, NotADirectoryError):
        if STAGING in path.names():
            raise StoreUnfinishedError(
                f"{path}: its extraction has not finished; give the same `bench extract` command "
                "again to go on"
            ) from None
        raise StoreNotFoundError(
            f"{path}: there is no store here; make one with `bench extract SOURCE --store {path}`"
        ) from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        why = "it has no attributes" if isinstance(error, KeyError | TypeError) else error
        raise StoreDamagedError(
            f"{path}/zarr.json: can't be read ({why}); delete the store and make it again"
        ) from None
    if not isinstance(attributes, dict) or attributes.get("format") != FORMAT:
        raise StoreNotFoundError(f"{path}: is a zarr group, but not one of `bench extract`'s")
    version = attributes.get("format_version")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise StoreVersionError(
            f"{path}: has format version {version}, this program reads up to {FORMAT_VERSION}; "
            "install a newer one"
        )
    return attributes


def image_sizes(attributes: dict[str, Any]) -> tuple[int, ...]:
    """Return the sizes, px, ascending, in which a store with these attributes keeps its images."""
    return tuple(attributes["settings"].get("image_sizes", (THUMBNAIL,)))


class FeatureStore:
    """A finished store, opened for reading.

    Parameters
    ----------
    path : str or Path
        A folder, or the URL of a prefix in an object store, such as "s3://bucket/fi.zarr".

    Attributes
    ----------
    path : str or Path
        A Path, unless it is a URL.
    place : Place
        Its files.
    attributes : dict
        Source, settings, backbones, versions, digests; as in the root's ``zarr.json``.
    label_names : tuple of str

    Raises
    ------
    StoreNotFoundError, StoreUnfinishedError, StoreVersionError, StoreDamagedError,
    StoreUnreachableError
    """

    def __init__(self, path: Location) -> None:
        self.path = path if is_url(path) else Path(path)
        self.place = place_of(path)
        self.attributes = read_root(self.place)
        if self.attributes.get("checksum") != checksum(self.attributes):
            raise StoreDamagedError(
                f"{self.path}/zarr.json: checksum differs: labels, settings or checksums were "
                "altered; delete the store and make it again"
            )
        self.label_names: tuple[str, ...] = tuple(self.attributes["label_names"])
        missing = self.attributes["objects"].keys() - set(list_objects(self.place))
        if missing:  # zarr would read zeros
            raise StoreDamagedError(
                f"{self.path}/{min(missing)}: is missing; delete the store and make it again"
            )
        with self.reading("zarr.json"):
            self._group = zarr.open_group(self.place.zarr(""), mode="r")

    def __repr__(self) -> str:
        """Return what it is and how large."""
        backbones = ", ".join(self.backbones)
        return f"<FeatureStore {str(self.path)!r}: {len(self):,} images, {backbones}>"

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.labels)

    @property
    def name(self) -> str:
        """What the store's folder is called."""
        return PurePath(self.path).name

    @property
    def fingerprint(self) -> str:
        """The sha256 (hex) of all that models see: pixels, embeddings, labels and splits."""
        return str(self.attributes["fingerprint"])

    @property
    def backbones(self) -> tuple[str, ...]:
        """Names of the backbones that this store has embeddings of."""
        return tuple(self.attributes["backbones"])

    @property
    def images(self) -> "zarr.Array[Any]":
        """The raw tensors, uint8 (n, 32, 32, 3)."""
        return self.array("images")

    @property
    def image_sizes(self) -> tuple[int, ...]:
        """The sizes in which this store keeps its images, px, ascending; 32 is the first."""
        return image_sizes(self.attributes)

    def images_at(self, size: int) -> "zarr.Array[Any]":
        """Return the images of one size, uint8 (n, size, size, 3).

        Raises
        ------
        KeyError
            If the store has none of that size; names those that it has.
        """
        return self.array(self._images_name(size))

    def image_reader(self, size: int) -> RowReader:
        """Return what reads images of one size, uint8 (n, size, size, 3), in any order.

        Raises
        ------
        KeyError
            As ``images_at`` does.
        StoreDamagedError
        """
        return self.reader(self._images_name(size))

    def _images_name(self, size: int) -> str:
        if size not in self.image_sizes:
            there = ", ".join(map(str, self.image_sizes))
            raise KeyError(f"{self.path}: has no images of {size} px; its sizes are {there}")
        return images_name(size)

    def embeddings(self, backbone: str | None = None) -> "zarr.Array[Any]":
        """Return the embeddings, float32 (n, dims), of one backbone; the store's first unless told.

        Raises
        ------
        KeyError
            If the store has none of that backbone.
        """
        name = backbone or self.backbones[0]
        if name not in self.backbones:
            there = ", ".join(self.backbones)
            raise KeyError(f"{self.path}: has no embeddings of {name}; it has {there}")
        return self.array(f"embeddings/{name}")

    @cached_property
    def labels(self) -> npt.NDArray[np.int64]:
        """Label ids, int64 (n,)."""
        return self.read("labels")

    @cached_property
    def label_strength(self) -> npt.NDArray[np.float32]:
        """The share of people who saw each emotion, float32 (n, labels)."""
        return self.read("label_strength")

    @cached_property
    def splits(self) -> npt.NDArray[np.uint8]:
        """Splits, uint8 (n,): 0 train, 1 dev, 2 test."""
        return self.read("split")

    @cached_property
    def is_weak(self) -> npt.NDArray[np.bool_]:
        """Whether an image is only weakly labelled, bool (n,).

        That is, as many people disagree with its label as agree or more, or fewer than three were
        asked where others were asked more often. Only ``KeepRule("all")`` keeps such images.
        """
        weak = self.label_strength[np.arange(len(self)), self.labels] <= 0.5
        if self.attributes["settings"]["keep"] != "all":
            return np.asarray(weak & False)
        manifest = self.manifest()
        kept = manifest["row"] >= 0
        votes = np.zeros(len(self), np.int64)
        asked = (manifest["agree"] + manifest["disagree"])[kept]
        rows = manifest["row"][kept]
        votes[rows] = asked[np.arange(len(rows)), self.labels[rows]]
        if len(votes) and votes.max() >= FEWEST_VOTES:
            weak |= votes < FEWEST_VOTES
        return np.asarray(weak)

    def rows(self, split: str) -> npt.NDArray[np.int64]:
        """Return the rows of a split, int64 (k,), ascending.

        Parameters
        ----------
        split : {"train", "dev", "test"}

        Raises
        ------
        ValueError
            If there is no such split.
        """
        if split not in SPLITS:
            raise ValueError(f"no split is called {split!r}; there are {', '.join(SPLITS)}")
        return np.flatnonzero(self.splits == SPLITS.index(split))

    def manifest(self) -> dict[str, npt.NDArray[Any]]:
        """Return the manifest: what became of each of the m records, a column (m, ...) each."""
        paths = [key.split("/") for key in self.attributes["objects"]]
        names = {path[1] for path in paths if path[0] == "manifest" and len(path) > 2}
        return {name: self.read(f"manifest/{name}") for name in sorted(names)}

    def read(self, name: str) -> npt.NDArray[Any]:
        """Return the array at a path such as "embeddings/mobilenet", whole.

        Raises
        ------
        StoreDamagedError
            If its bytes can't be decoded.
        """
        with self.reading(name):
            return self.reader(name)[:] if _is_large(name) else np.asarray(self.array(name)[:])

    def check(self, name: str) -> None:
        """Compare all bytes of an array with what was committed: pixels have no other checksum.

        Raises
        ------
        StoreDamagedError
            If any differ; names the first file.
        """
        objects = self.attributes["objects"]
        found = hash_objects(self.place, [key for key in objects if key.startswith(f"{name}/")])
        differing = sorted(key for key, actual in found.items() if actual != objects[key])
        # Of a store that got more rows since it was opened, other files were committed.
        if differing and read_root(self.place)["fingerprint"] == self.fingerprint:
            raise StoreDamagedError(
                f"{self.path}/{differing[0]}: isn't as it was committed; "
                f"`bench verify {self.path}` says more"
            )

    @contextmanager
    def reading(self, name: str) -> Iterator[None]:
        """Turn what zarr raises where an array's bytes are damaged, of many kinds, into ours."""
        try:
            yield
        except (StoreError, IndexError):  # no such row
            raise
        except Exception as error:
            raise StoreDamagedError(
                f"{self.path}/{name}: can't be read ({in_short(error)}); `bench verify "
                f"{self.path}` says more"
            ) from error

    def reader(self, name: str) -> RowReader:
        """Return what reads rows of images or embeddings, in any order, as quickly as can be.

        Raises
        ------
        StoreDamagedError
        """
        if name not in self._readers:
            self._readers[name] = self._open_reader(name)
        return self._readers[name]

    @cached_property
    def _readers(self) -> dict[str, RowReader]:
        """Readers that were made before: each keeps what it has decoded."""
        return {}

    def _open_reader(self, name: str) -> RowReader:
        if isinstance(self.place, LocalPlace):
            from featurestore._shard_index import ForeignLayoutError
            from featurestore._shards import LocalArray

            with suppress(ForeignLayoutError):  # then zarr can
                return LocalArray(self.place.folder / name)
        return ZarrRows(self.array(name), partial(self.reading, name))

    def array(self, name: str) -> "zarr.Array[Any]":
        """Return the array at a path such as "embeddings/mobilenet", to be read in parts.

        Raises
        ------
        KeyError
            If there is no such array.
        StoreDamagedError, StoreUnreachableError
            If what describes it can't be read.
        """
        if f"{name}/zarr.json" not in self.attributes["objects"]:
            raise KeyError(f"{self.path}: has no {name}")
        with self.reading(name):
            array = self._group[name]
        assert isinstance(array, zarr.Array)
        return array


def _is_large(name: str) -> bool:
    return name.startswith(("images", "embeddings/"))
