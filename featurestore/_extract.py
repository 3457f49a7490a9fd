"""Extraction: from a source to a finished store."""

from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from featurestore._assemble import assemble
from featurestore._backbones import (
    DEFAULT_BACKBONE,
    Backbone,
    find_weights,
    get_backbone,
    hash_file,
)
from featurestore._decode import THUMBNAIL
from featurestore._engines import EngineName, choose_engine, make_engine
from featurestore._pipeline import Pipeline
from featurestore._records import Record, Source, in_store_order
from featurestore._select import select
from featurestore._split import parse_ratio
from featurestore._staging import Staging, refuse_difference
from featurestore._store import FeatureStore, read_root
from featurestore.errors import (
    SourceError,
    StoreBusyError,
    StoreNotFoundError,
    StoreUnfinishedError,
)


@dataclass(frozen=True)
class ExtractSettings:
    """What an extraction may be told.

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
    split : str
        Shares of train, dev and test.
    seed : int
        Of the rows' order and of the splits.
    engine : {"litert", "tensorflow"} or None
        None means TensorFlow with a GPU and LiteRT without.
    """

    backbone: str = DEFAULT_BACKBONE
    weights: Path | None = None
    embed_size: int | None = None
    embed_from: Literal["image", "thumbnail"] = "image"
    split: str = "80/10/10"
    seed: int = 0
    engine: EngineName | None = None


@dataclass(frozen=True)
class Progress:
    """How an extraction tells what it does; every part may be left out.

    Attributes
    ----------
    stage : callable
        Gets a line when something that may take seconds begins.
    begin : callable
        Gets (records in all, records done in an earlier run) before the first one.
    step : callable
        Gets the failure kind of each record as it is done, or "".
    """

    stage: Callable[[str], None] = lambda line: None
    begin: Callable[[int, int], None] = lambda total, done: None
    step: Callable[[str], None] = lambda kind: None


MIN_EMBED_SIZE = 32  # px; keras.applications refuses less


def extract(
    source: Source,
    store: str | Path,
    settings: ExtractSettings | None = None,
    progress: Progress | None = None,
) -> FeatureStore:
    """Make a store from a source, or go on with one that was begun.

    A finished store made from the same source with the same settings is left alone.

    Parameters
    ----------
    source : Source
        From ``featurestore.read_source``.
    store : str or Path
        A folder that is not there yet, or one that an earlier call began.
    settings : ExtractSettings, optional
    progress : Progress, optional

    Returns
    -------
    FeatureStore

    Raises
    ------
    SourceError
        If not one image can be kept, or a setting can't be used.
    BackboneError
    StoreMismatchError
        If the store was made from something else or with other settings.
    StoreBusyError
        If another process is extracting into the store.
    """
    path, settings, progress = Path(store), settings or ExtractSettings(), progress or Progress()
    job = _Job.prepare(source, settings)
    if _is_finished(path, job):
        _tidy(path)
        return FeatureStore(path)
    _refuse_foreign_folder(path)
    records = in_store_order(source.records, settings.seed)
    with Staging(path) as staging:
        if _is_finished(path, job):  # another process has finished it in the meantime
            staging.remove()
            return FeatureStore(path)
        staging.begin(job.described)
        _process(source, records, job, staging, progress)
        progress.stage("writing the store")
        outcomes = staging.read_outcomes(len(records))
        selection = select(records, outcomes, source.keep, job.ratio, settings.seed)
        if not len(selection.records):
            staging.remove()
            path.rmdir()
            raise SourceError(_nothing_left(source, selection.kind))
        assemble(path, records, outcomes, selection, staging, job.attributes())
        staging.remove()
    return FeatureStore(path)


@dataclass(frozen=True)
class _Job:
    """An extraction with everything that had to be looked up for it."""

    source: Source
    backbone: Backbone
    weights: Path
    size: int
    ratio: tuple[int, int, int]
    engine: EngineName
    described: dict[str, Any]

    @classmethod
    def prepare(cls, source: Source, settings: ExtractSettings) -> "_Job":
        backbone = get_backbone(settings.backbone)
        weights = find_weights(backbone, settings.weights)
        thumbnail = settings.embed_from == "thumbnail"
        size = settings.embed_size or (THUMBNAIL if thumbnail else backbone.size)
        if thumbnail and size != THUMBNAIL:
            raise SourceError("--embed-from thumbnail embeds 32 px; leave --embed-size out")
        if size < MIN_EMBED_SIZE:
            raise SourceError(f"--embed-size is {size}; the least is {MIN_EMBED_SIZE}")
        engine = settings.engine or choose_engine()
        described = {
            "source": f"{source.kind} {source.title}",
            "label_names": list(source.label_names),
            "keep": source.keep.rule,
            "min_agree": source.keep.min_agree,
            "split": settings.split,
            "seed": settings.seed,
            "backbone": backbone.name,
            "weights_sha256": hash_file(weights),
            "embed_from": settings.embed_from,
            "embed_size": size,
            "engine": engine,
            "source_fingerprint": source.fingerprint(),
        }
        ratio = parse_ratio(settings.split)
        return cls(source, backbone, weights, size, ratio, engine, described)

    def attributes(self) -> dict[str, Any]:
        """Return what the store's root says about its making."""
        source, said = self.source, self.described
        return {
            "label_names": list(source.label_names),
            "source": {
                "kind": source.kind,
                "title": source.title,
                "synthetic": source.synthetic,
                "is_fi": source.is_fi,
                "records": len(source.records),
                "fingerprint": said["source_fingerprint"],
            },
            "settings": said,
            "backbones": {
                self.backbone.name: {
                    "dims": self.backbone.dims,
                    "weights_sha256": said["weights_sha256"],
                    "weights": self.weights.name,
                    "embed_from": said["embed_from"],
                    "embed_size": self.size,
                    "preprocessing": (
                        f"whole image squeezed to {self.size} x {self.size} px, RGB, antialiased "
                        f"bilinear; keras.applications.{self.backbone.module}.preprocess_input"
                        if said["embed_from"] == "image"
                        else "the 32 x 32 tensor as it is; "
                        f"keras.applications.{self.backbone.module}.preprocess_input"
                    ),
                    "engine": self.engine,
                }
            },
            "versions": {
                name: version(name)
                for name in ("emotion-bench", "ai-edge-litert", "tensorflow", "pillow", "zarr")
            },
        }


def _is_finished(path: Path, job: _Job) -> bool:
    """Return whether the store is there; refuse it if it is another one."""
    try:
        root = read_root(path)
    except (StoreNotFoundError, StoreUnfinishedError):
        return False
    refuse_difference(path, root["settings"], job.described)
    return True


def _tidy(path: Path) -> None:
    """Remove the staging folder that a process killed in its last moment has left."""
    if (path / ".staging").exists():
        with suppress(StoreBusyError), Staging(path) as staging:
            staging.remove()


def _refuse_foreign_folder(path: Path) -> None:
    """Never write into a folder that holds somebody's files."""
    if path.exists() and not path.is_dir():
        raise SourceError(f"--store {path}: is a file; give a folder that is not there yet")
    if path.is_dir() and any(path.iterdir()) and not (path / ".staging").is_dir():
        raise SourceError(
            f"--store {path}: is a folder with other files in it; give one that is not there yet"
        )


def _process(
    source: Source, records: list[Record], job: _Job, staging: Staging, progress: Progress
) -> None:
    """Fetch, decode and embed what hasn't been yet."""
    outcomes = staging.read_outcomes(len(records))
    todo = [
        (i, record.id)
        for i, record in enumerate(records)
        if not record.kind and outcomes.kind[i] is None
    ]
    if not todo:
        return
    progress.stage(f"starting {job.backbone.name} at {job.size} px on {job.engine}")
    engine = make_engine(job.engine, job.backbone, job.size, job.weights)
    progress.begin(len(records), len(records) - len(todo))
    with closing(Pipeline(source.fetch, engine, job.size).run(todo)) as results:
        for result in results:
            staging.add(result)
            progress.step(result.kind)
    staging.flush()


def _nothing_left(source: Source, kinds: list[str]) -> str:
    counts = ", ".join(f"{count} {kind}" for kind, count in Counter(kinds).most_common())
    return f"{source.title}: none of its {len(kinds)} records gave an image to keep ({counts})"
