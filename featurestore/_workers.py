"""Who does the work of an extraction: this process, or those of a Dask cluster."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from featurestore._segments import Segments
from featurestore._tasks import Embedding, Shard, Todo, embed_records, write_shard
from featurestore.fetch import Originals

Start = Callable[[], object]  # told when all is ready and the first record is begun
Step = Callable[[str], object]  # gets the failure kind of each record as it is done, or ""


class Workers(Protocol):
    """Does the parts of an extraction."""

    def describe(self) -> str:
        """Return where they are, as the end of a sentence."""

    def embed(
        self,
        how: Embedding,
        todo: Todo,
        segments: Segments,
        start: Start,
        step: Step,
    ) -> None:
        """Fetch, decode and embed records."""

    def write(self, shards: Sequence[Shard]) -> list[str]:
        """Write shards; return the digest of each."""


class ThisProcess:
    """Does everything here, on all cores.

    Parameters
    ----------
    originals : Originals, optional
        Where downloaded bytes are kept, and looked for first.
    """

    def __init__(self, originals: Originals | None = None) -> None:
        self._originals = originals

    def describe(self) -> str:
        """Say nothing: that is what one expects."""
        return ""

    def embed(
        self,
        how: Embedding,
        todo: Todo,
        segments: Segments,
        start: Start,
        step: Step,
    ) -> None:
        """Fetch, decode and embed records in a pipeline of threads."""
        engine = how.job.make_engine()
        start()
        embed_records(how, todo, engine, segments, step, self._originals)

    def write(self, shards: Sequence[Shard]) -> list[str]:
        """Write one shard after the other: that is as fast as a disk, and holds one in memory."""
        return [write_shard(shard) for shard in shards]


@contextmanager
def find_workers(scheduler: str | None) -> Iterator[Workers]:
    """Yield who does the work.

    Parameters
    ----------
    scheduler : str or None
        None: this process. "local:2": two processes on this machine. "tcp://host:8786": the workers
        of that Dask scheduler.

    Raises
    ------
    WorkersError
        If it can't be read or reached, or Dask isn't installed.
    """
    if scheduler is None:
        yield ThisProcess()
        return
    from featurestore._dask import connect

    with connect(scheduler) as workers:
        yield workers
