"""An extraction with everything that has to be looked up for it."""

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from featurestore._backbones import (
    DEFAULT_BACKBONE,
    Backbone,
    find_weights,
    get_backbone,
    hash_file,
)
from featurestore._decode import THUMBNAIL
from featurestore._engines import Engine, EngineName, MirroredEngine, choose_engine, make_engine
from featurestore._records import Source
from featurestore._split import parse_ratio
from featurestore.errors import BackboneError, SourceError

MIN_EMBED_SIZE = 32  # px; keras.applications refuses less
MAX_EMBED_SIZE = 1024  # px: beyond it one image takes gigabytes
MAX_IMAGE_SIZE = 512  # px; more than any backbone was trained on, at 786 kB an image


@dataclass(frozen=True)
class ExtractSettings:
    """What an extraction may be told about what it makes.

    Attributes
    ----------
    backbone : str
        One of BACKBONES.
    weights : Path or None
        A weights file instead of the backbone's own.
    embed_size : int or None
        Side of the images that the backbone sees, px; None means the backbone's own.
    embed_from : {"image", "thumbnail"}
        "image" embeds each image at its own resolution; "thumbnail" embeds the 32 x 32 tensor as
        it is, which throws most of the signal away and is there to show just that.
    mirror : bool
        Whether an embedding is the mean of the image's and of its mirror image's, at twice the
        cost.
    image_sizes : tuple of int
        Sides of the square tensors that are kept of each image, px, 32 to 512. 32 is always among
        them, whether named or not; they come back ascending, each once.
    min_side : int
        Images with fewer pixels on a side are left out.
    split : str
        Shares of train, dev and test.
    seed : int
        Of the rows' order and of the splits.
    engine : {"litert", "tensorflow"} or None
        None means TensorFlow with a GPU and LiteRT without.

    Raises
    ------
    SourceError
        If an image size is out of its range.
    """

    backbone: str = DEFAULT_BACKBONE
    weights: Path | None = None
    embed_size: int | None = None
    embed_from: Literal["image", "thumbnail"] = "image"
    mirror: bool = False
    image_sizes: tuple[int, ...] = (THUMBNAIL,)
    min_side: int = 32
    split: str = "80/10/10"
    seed: int = 0
    engine: EngineName | None = None

    def __post_init__(self) -> None:
        """Bring the image sizes into the one form in which they are noted and compared."""
        for size in self.image_sizes:
            if not THUMBNAIL <= size <= MAX_IMAGE_SIZE:
                raise SourceError(
                    f"--image-size is {size}; give {THUMBNAIL} to {MAX_IMAGE_SIZE} px"
                )
        object.__setattr__(self, "image_sizes", tuple(sorted({THUMBNAIL, *self.image_sizes})))


@dataclass(frozen=True)
class BackboneJob:
    """A backbone as it is to be run.

    Attributes
    ----------
    backbone : Backbone
    weights : Path
    about : dict
        What the store's root says of it.
    """

    backbone: Backbone
    weights: Path
    about: dict[str, Any]

    @classmethod
    def prepare(cls, settings: ExtractSettings) -> "BackboneJob":
        """Look up what the settings name.

        Raises
        ------
        BackboneError, SourceError
        """
        backbone = get_backbone(settings.backbone)
        weights = find_weights(backbone, settings.weights)
        thumbnail = settings.embed_from == "thumbnail"
        size = settings.embed_size or (THUMBNAIL if thumbnail else backbone.size)
        if thumbnail and size != THUMBNAIL:
            raise SourceError("--embed-from thumbnail embeds 32 px; leave --embed-size out")
        if not MIN_EMBED_SIZE <= size <= MAX_EMBED_SIZE:
            raise SourceError(
                f"--embed-size is {size}; give {MIN_EMBED_SIZE} to {MAX_EMBED_SIZE} px"
            )
        pixels = (
            "the 32 x 32 tensor as it is"
            if thumbnail
            else f"whole image squeezed to {size} x {size} px, RGB, antialiased bilinear"
        )
        if settings.mirror:
            pixels += ", and mirrored: mean of both embeddings"
        about = {
            "dims": backbone.dims,
            "weights": weights.name,
            "weights_sha256": hash_file(weights),
            "embed_from": settings.embed_from,
            "embed_size": size,
            "engine": settings.engine or choose_engine(),
            "preprocessing": f"{pixels}; keras.applications.{backbone.module}.preprocess_input",
        }
        if settings.mirror:
            about["mirror"] = True
        return cls(backbone, weights, about)

    @classmethod
    def again(cls, name: str, about: dict[str, Any], given: Path | None) -> "BackboneJob":
        """Return a store's backbone as it was run before.

        Raises
        ------
        BackboneError
            If its weights can't be had any more.
        """
        backbone = get_backbone(name)
        for weights in filter(None, (given, find_weights(backbone))):
            if hash_file(weights) == about["weights_sha256"]:
                return cls(backbone, weights, about)
        raise BackboneError(
            f"{name}: the store was made with other weights ({about['weights']}, sha256 "
            f"{about['weights_sha256'][:12]}); give that file with --weights"
        )

    @property
    def size(self) -> int:
        """Side of what the backbone sees, px."""
        return int(self.about["embed_size"])

    def make_engine(self, workers: int | None = None) -> Engine:
        """Return the engine that computes its embeddings, on a CPU with so many threads."""
        name = self.about["engine"]
        engine = make_engine(name, self.backbone, self.size, self.weights, workers)
        return MirroredEngine(engine) if self.about.get("mirror") else engine


def describe_source(source: Source, settings: ExtractSettings) -> dict[str, Any]:
    """Return what defines a store's rows: two stores with the same have the same rows.

    Raises
    ------
    SourceError
        If the split can't be read.
    """
    parse_ratio(settings.split)
    described = {
        "source": f"{source.kind} {source.title}",
        "label_names": list(source.label_names),
        "keep": source.keep.rule,
        "min_agree": source.keep.min_agree,
        "min_side": settings.min_side,
        "split": settings.split,
        "seed": settings.seed,
        "source_fingerprint": source.fingerprint(),
    }
    if settings.image_sizes != (THUMBNAIL,):  # stores of 32 px alone stay what they have ever been
        described["image_sizes"] = list(settings.image_sizes)
    return described


def describe_store(
    source: Source, described: dict[str, Any], backbones: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """Return what a store's root says about its making."""
    return {
        "label_names": list(source.label_names),
        "source": {
            "kind": source.kind,
            "title": source.title,
            "synthetic": source.synthetic,
            "is_fi": source.is_fi,
            "records": len(source.records),
            "fingerprint": described["source_fingerprint"],
        },
        "settings": described,
        "backbones": backbones,
        "versions": {
            name: version(name)
            for name in ("emotion-bench", "ai-edge-litert", "tensorflow", "pillow", "zarr")
        },
    }
