"""What an extraction consists of: parts of records to embed, and shards of arrays to write.

Each part is a function of plain values and of places, so it may run here or in another process.
What it has done is on disk when it returns, and doing it twice does no harm.
"""

import hashlib
import threading
import uuid
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from featurestore._engines import Engine
from featurestore._job import BackboneJob
from featurestore._layout import open_to_read, open_to_write
from featurestore._pipeline import Pipeline
from featurestore._place import Place
from featurestore._segments import Segments, Where
from featurestore.errors import RecordFailure, WorkersError
from featurestore.fetch import FetchStage, Originals, WebSettings, is_remote

Todo = Sequence[tuple[int, str]]  # (number, id) of records


@dataclass(frozen=True)
class Embedding:
    """How records are embedded.

    Attributes
    ----------
    staging : Place
        Of the store; segments are below it.
    job : BackboneJob
    fetch : callable
        As a source has it.
    web : WebSettings
    min_side : int
    larger : tuple of int
        Sizes of further images to keep, px.
    """

    staging: Place
    job: BackboneJob
    fetch: Callable[[str], bytes]
    web: WebSettings
    min_side: int
    larger: tuple[int, ...]

    def segments(self, prefix: str = "") -> Segments:
        """Return where results go."""
        return Segments(self.staging.within(f"segments/{self.job.backbone.name}"), prefix)


def embed_records(
    how: Embedding,
    todo: Todo,
    engine: Engine,
    segments: Segments,
    step: Callable[[str], object],
    originals: Originals | None = None,
) -> None:
    """Fetch, decode and embed records into segments; ``step`` gets the kind of each, or ""."""
    stage = FetchStage(todo, how.fetch, how.web, originals)
    pipeline = Pipeline(stage, engine, how.job.size, how.min_side, how.larger)
    run = pipeline.run(len(todo), segments.flush_if_due)  # servers may stall while results wait
    with closing(stage), closing(run) as results:
        try:
            for result in results:
                segments.add(result)
                step(result.kind)
        finally:
            segments.flush()


@dataclass(frozen=True)
class Probe:
    """A record that every process must find as it was found here.

    Otherwise a worker on a machine without the images would note each as lost.
    """

    id: str
    sha256: str

    @classmethod
    def choose(cls, how: Embedding, todo: Todo) -> "Probe | None":
        """Return the first of some records that lies on a disk; None if there is none."""
        for _, name in todo[:100]:
            if not is_remote(name) and (found := _fingerprint(how, name)):
                return cls(name, found)
        return None


def embed_part(how: Embedding, todo: Todo, probe: Probe | None) -> list[str]:
    """Embed a part of the records in a process of another machine, perhaps; return their kinds.

    Raises
    ------
    WorkersError
        If this process sees another disk than the one that gives out the work.
    """
    _see_the_same(how, probe)
    # Nobody else writes under this name: who was taken for dead may still be at it.
    segments = how.segments(f"{uuid.uuid4().hex}-")
    kinds: list[str] = []
    embed_records(how, todo, _engine(how.job), segments, kinds.append)
    return kinds


def warm_up(job: BackboneJob) -> None:
    """Make this process ready to embed."""
    _engine(job)


_engines: dict[str, Engine] = {}
_making = threading.Lock()
_seen: set[tuple[str, Probe | None]] = set()


def _engine(job: BackboneJob) -> Engine:
    """Return an engine of one thread; it is kept, for the next part."""
    key = f"{job.backbone.name} {sorted(job.about.items())}"
    with _making:  # a worker may have several threads
        if key not in _engines:
            given = job.weights if job.weights.is_file() else None
            mine = BackboneJob.again(job.backbone.name, job.about, given)
            _engines[key] = mine.make_engine(workers=1)
        return _engines[key]


def _see_the_same(how: Embedding, probe: Probe | None) -> None:
    if (str(how.staging), probe) in _seen:
        return
    if not how.staging.exists("settings.json"):
        raise WorkersError(
            f"{how.staging}: a worker doesn't see this folder; give --store on a disk that all "
            "machines share, or the URL of an object store"
        )
    if probe is not None and _fingerprint(how, probe.id) != probe.sha256:
        raise WorkersError(
            f"{probe.id}: a worker that runs in {Path.cwd()} doesn't find this image as it is "
            "here; give the source by its full path, on a disk that all machines share"
        )
    _seen.add((str(how.staging), probe))


def _fingerprint(how: Embedding, name: str) -> str | None:
    try:
        return hashlib.sha256(how.fetch(name)).hexdigest()
    except RecordFailure:
        return None


@dataclass(frozen=True)
class Staged:
    """Rows in segments.

    Attributes
    ----------
    place : Place
    where : Where
    """

    place: Place
    where: Where


@dataclass(frozen=True)
class Shard:
    """A shard of an array: where it goes, and where its rows come from.

    Attributes
    ----------
    folder : Place
        Of the arrays that are being written.
    name : str
        Of the array.
    start, stop : int
        Rows.
    write : bool
        Whether to write them; else they are there already, and only their digest is asked for.
    base : Place or None
        Of the store whose array has the first of them.
    held : int
        How many rows that array has.
    staged : Staged or None
        The other rows.
    """

    folder: Place
    name: str
    start: int
    stop: int
    write: bool
    base: Place | None
    held: int
    staged: Staged | None


def write_shard(shard: Shard) -> str:
    """Write a shard; return the sha256 (hex) of its rows as they are in memory."""
    parts: list[npt.NDArray[Any]] = []
    if shard.base is not None and shard.start < shard.held:
        old = open_to_read(shard.base, shard.name)
        parts.append(np.asarray(old[shard.start : min(shard.stop, shard.held)]))
    if shard.staged is not None:
        segments = Segments(shard.staged.place)
        parts.append(segments.read_rows(shard.name.partition("/")[0], shard.staged.where))
    block = np.concatenate(parts)
    if shard.write:
        open_to_write(shard.folder, shard.name)[shard.start : shard.stop] = block
    return hashlib.sha256(block.tobytes()).hexdigest()
