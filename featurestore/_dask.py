"""Extraction on a Dask cluster: the same parts of work, given out to its workers.

A worker that dies costs the parts it was at: Dask gives them to another, and nothing else is done
again. Workers read the source and write the store themselves, so both must lie where all of them
see them; only the kinds of failures come back.
"""

import importlib
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from featurestore._engines import usable_cores
from featurestore._job import BackboneJob
from featurestore._place import LocalPlace, Place
from featurestore._segments import SEGMENT_RESULTS, Segments
from featurestore._tasks import (
    Embedding,
    Probe,
    Shard,
    Todo,
    embed_part,
    warm_up,
    write_shard,
)
from featurestore._workers import Start, Step
from featurestore.errors import FeatureStoreError, WorkersError, in_short
from featurestore.fetch import is_remote

# A part on a disk is one segment. Downloads wait for the slowest of a part, so theirs are larger.
PART_RECORDS, DOWNLOAD_PART_RECORDS, LAST_PART_RECORDS = SEGMENT_RESULTS, 1024, 16
_ROUNDS = 4  # parts that each thread still gets when they begin to be smaller
_AHEAD = 3  # parts a thread has before it: enough that none waits, few enough for any scheduler
_DEATHS = 5  # of workers at the same part: then the part is what kills them
_PROCESSES = 8  # a core, on this machine: more of them only take its memory
CONNECT_SECONDS = 20


@contextmanager
def connect(scheduler: str) -> Iterator["DaskWorkers"]:
    """Yield the workers of a scheduler, or of one that is started here and ends with the block.

    Raises
    ------
    WorkersError
    """
    try:
        import dask

        distributed = _distributed()
    except ImportError:
        raise WorkersError(
            f"--scheduler {scheduler}: needs more packages: pip install 'emotion-bench[dask]'"
        ) from None
    settings = {
        "distributed.scheduler.allowed-failures": _DEATHS - 1,
        "distributed.comm.timeouts.connect": f"{CONNECT_SECONDS}s",
        "distributed.admin.tick.limit": "1h",  # a busy core is no reason to warn
        "distributed.worker.profile.enabled": False,  # of use in a dashboard alone
    }
    own = re.fullmatch(r"local:([1-9]\d{0,3})", scheduler)
    if not own and not re.fullmatch(r"(tcp|tls)://\S+:\d+", scheduler):
        raise WorkersError(
            f"--scheduler {scheduler}: give local:N for N processes here, or a scheduler's address "
            "such as tcp://host:8786"
        )
    if own and int(own[1]) > (most := _PROCESSES * usable_cores()):
        raise WorkersError(
            f"--scheduler {scheduler}: too many processes for {usable_cores()} cores; give "
            f"local:{most} at most"
        )
    for name in ("distributed", "distributed.client", "tornado"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what goes wrong is told by us
    with dask.config.set(settings):
        if own:
            # Whoever reaches a scheduler may run code: on loopback, and with keys made for it, that
            # is nobody but us.
            with (
                distributed.LocalCluster(
                    n_workers=int(own[1]),
                    threads_per_worker=1,
                    memory_limit=0,
                    host="127.0.0.1",
                    dashboard_address=None,
                    silence_logs=logging.CRITICAL,
                    security=True,
                ) as cluster,
                distributed.Client(cluster) as client,
            ):
                yield DaskWorkers(client, scheduler)
            return
        try:
            client = distributed.Client(scheduler, timeout=CONNECT_SECONDS)
        except Exception as error:  # each transport's own kinds
            advice = "start it with `dask scheduler`, and workers with `dask worker`"
            if scheduler.startswith("tls:") and isinstance(error, TypeError):
                advice = "give certificates in Dask's own configuration, distributed.comm.tls"
            raise WorkersError(
                f"--scheduler {scheduler}: can't be reached ({type(error).__name__}); {advice}"
            ) from None
        with client:
            yield DaskWorkers(client, scheduler)


class DaskWorkers:
    """The workers of a Dask cluster.

    Parameters
    ----------
    client : distributed.Client
    scheduler : str
        As the user calls it.
    """

    def __init__(self, client: Any, scheduler: str) -> None:
        self._client, self._scheduler = client, scheduler

    def describe(self) -> str:
        """Return where the workers are, as the end of a sentence."""
        if not self._client.nthreads():
            return (
                f", on {self._scheduler}, which has no workers yet: start some with `dask worker`"
            )
        return f", on {self._threads()} threads of {self._scheduler}"

    def embed(
        self,
        how: Embedding,
        todo: Todo,
        segments: Segments,
        start: Start,
        step: Step,
    ) -> None:
        """Fetch, decode and embed records, each worker a part at a time.

        Nothing goes into ``segments``: whoever does a part has some of its own.
        """
        if how.job.about["engine"] == "litert":
            how.job.make_engine()  # converts the backbone once, and tells what is wrong with it
        how = _for_workers(how)
        probe = Probe.choose(how, todo)
        self._warm_up(how.job)
        start()
        size = PART_RECORDS
        if any(is_remote(name) for _, name in todo):
            size = DOWNLOAD_PART_RECORDS
        parts = _divide(todo, size, self._threads())
        jobs = ((_for_part(how, part, probe), part, probe) for part in parts)
        for kinds in self._run(embed_part, jobs):
            for kind in kinds:
                step(kind)

    def write(self, shards: Sequence[Shard]) -> list[str]:
        """Write shards, each worker one at a time; return the digest of each."""
        digests: dict[tuple[str, int], str] = {}
        jobs = ((_shard_for_workers(shard),) for shard in shards)
        for name, start, digest in self._run(_write_named, jobs):
            digests[name, start] = digest
        return [digests[shard.name, shard.start] for shard in shards]

    def _warm_up(self, job: BackboneJob) -> None:
        """Make all workers ready; those that die or come later are so with their first part."""
        with self._connected():
            found = self._client.run(warm_up, job, on_error="return")
        for error in found.values():
            if isinstance(error, FeatureStoreError):
                raise error
            if isinstance(error, Exception) and not isinstance(error, OSError):  # that one has died
                raise self._unable(error)

    def _run(self, function: Any, jobs: Iterator[tuple[Any, ...]]) -> Iterator[Any]:
        """Yield what a function gives for each of some arguments, as it is ready."""

        def submit(arguments: tuple[Any, ...]) -> Any:
            return self._client.submit(function, *arguments, pure=False)

        with self._connected():
            ahead = _AHEAD * self._threads()
            first = [submit(job) for _, job in zip(range(ahead), jobs, strict=False)]
            running = _distributed().as_completed(first)
            for future in running:
                result = self._result(future)
                future.release()
                for job in jobs:
                    running.add(submit(job))
                    break
                yield result

    def _result(self, future: Any) -> Any:
        try:
            return future.result()
        except _distributed().KilledWorker:
            raise WorkersError(
                f"--scheduler {self._scheduler}: several workers died at the same work; look at "
                "their logs, or go on without --scheduler"
            ) from None
        except (ImportError, AttributeError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "deserialization" not in str(error):
                raise
            raise self._unable(error) from error

    def _unable(self, error: Exception) -> WorkersError:
        return WorkersError(
            f"--scheduler {self._scheduler}: a worker can't do the work ({in_short(error)}); do "
            "the scheduler and all workers have the same version of this package?"
        )

    @contextmanager
    def _connected(self) -> Iterator[None]:
        """Say so if the connection to the scheduler is lost within."""
        distributed = _distributed()
        try:
            yield
        except (distributed.CancelledError, distributed.comm.CommClosedError):
            raise WorkersError(
                f"--scheduler {self._scheduler}: the connection was lost; give the same command "
                "again to go on"
            ) from None

    def _threads(self) -> int:
        return max(1, int(sum(self._client.nthreads().values())))


def _distributed() -> Any:
    """Return Dask's package for clusters, whose functions have no types."""
    return importlib.import_module("distributed")


def _divide(todo: Todo, most: int, threads: int) -> Iterator[Todo]:
    """Yield parts of the work, smaller ones towards the end, so that all threads end together."""
    start = 0
    while start < len(todo):
        left = len(todo) - start
        size = min(most, max(left // (_ROUNDS * threads), LAST_PART_RECORDS))
        yield todo[start : start + size]
        start += size


def _for_part(how: Embedding, part: Todo, probe: Probe | None) -> Embedding:
    """Return how a part is embedded, without what concerns other records alone."""
    only = getattr(how.fetch, "only", None)
    if only is None:
        return how
    names = {name for _, name in part if not is_remote(name)}
    return replace(how, fetch=only(names | ({probe.id} if probe else set())))


def _for_workers(how: Embedding) -> Embedding:
    # Not what fetches: its paths are in what it says of an image, and so in the store.
    job = replace(how.job, weights=how.job.weights.absolute())
    return replace(how, staging=_absolute(how.staging), job=job)


def _shard_for_workers(shard: Shard) -> Shard:
    return replace(
        shard,
        folder=_absolute(shard.folder),
        base=shard.base and _absolute(shard.base),
        staged=shard.staged and replace(shard.staged, place=_absolute(shard.staged.place)),
    )


def _absolute(place: Place) -> Place:
    """Return a place as those find it, too, who run in another folder."""
    return LocalPlace(place.folder.absolute()) if isinstance(place, LocalPlace) else place


def _write_named(shard: Shard) -> tuple[str, int, str]:
    return shard.name, shard.start, write_shard(shard)
