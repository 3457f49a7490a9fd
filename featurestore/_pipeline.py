"""Fetch, decode and embed at the same time, in bounded memory.

    records -> [fetch threads] -> queue -> [decode threads] -> queue -> [embed threads] -> results

An engine that takes single images is called by the decode threads themselves: with one thread a
core, an image stays in that core's cache and no two threads compete for it.

All heavy work (reading, Pillow, the engine) releases Python's lock, so threads are enough. So many
records and no more are under way at a time: whoever is ahead waits. Results come in the order in
which they are ready.
"""

import hashlib
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from featurestore._decode import Decoded, decode
from featurestore._engines import Engine, usable_cores
from featurestore.errors import RecordFailure
from featurestore.fetch import Fetched, FetchStage

TICK_SECONDS = 0.5


@dataclass(slots=True)
class Result:
    """What became of one record.

    Attributes
    ----------
    index : int
        Which record.
    kind, detail : str
        Why it failed, or "".
    sha256 : str
        Of the bytes fetched, hex; "" if none were.
    size : int
        How many bytes were fetched.
    http_status, tries, seconds, final_url
        How they were, as in ``Fetched``.
    image : Decoded or None
    embedding : float32 (dims,) or None
    """

    index: int
    kind: str = ""
    detail: str = ""
    sha256: str = ""
    size: int = 0
    http_status: int = 0
    tries: int = 0
    seconds: float = 0.0
    final_url: str = ""
    image: Decoded | None = None
    embedding: npt.NDArray[np.float32] | None = None


_TICK = Result(-1)  # no result: so much time went by


class _Stop(Exception):  # noqa: N818
    """The pipeline is being shut down."""


class Pipeline:
    """Runs records through fetch, decode and embed.

    Parameters
    ----------
    stage : FetchStage
        Which records, and how to get their bytes.
    engine : Engine
    size : int
        Side of the engine's input, px.
    min_side : int
        Images with fewer pixels on a side fail.
    larger : sequence of int
        Sides of further tensors, px.
    """

    def __init__(
        self,
        stage: FetchStage,
        engine: Engine,
        size: int,
        min_side: int,
        larger: Sequence[int] = (),
    ) -> None:
        self._parts = stage, engine, size, min_side, larger

    def run(
        self, count: int, tick: Callable[[], object] = lambda: None
    ) -> Generator[Result, None, None]:
        """Yield a Result for each of the ``count`` records, as they become ready.

        ``tick`` is called about every half second, also while none becomes ready, by the thread
        that takes the results.

        Closing the iterator early stops all threads. An error that is not a RecordFailure is a
        bug or a broken machine: it stops the run and is raised here.
        """
        run = _Run(*self._parts, count)
        run.start()
        try:
            yield from run.results(tick)
        finally:
            run.stop()


class _Run:
    """One pass over some records; its threads live no longer than it does."""

    def __init__(
        self,
        stage: FetchStage,
        engine: Engine,
        size: int,
        min_side: int,
        larger: Sequence[int],
        count: int,
    ) -> None:
        self._stage = stage
        self._engine = engine
        self._size = size
        self._min_side = min_side
        self._larger = larger
        self._expected = count
        self._stopping = threading.Event()
        self._error: BaseException | None = None
        # One bound for all queues: theirs would cost as much time as reading the files. A queue of
        # tokens and no semaphore: Ctrl-C may strike while that one's lock is held, and the lock is
        # never given back then. Nothing waits on these queues with a timeout: on a busy machine a
        # wait whose time is over when it is about to begin has no end (CPython 3.11).
        self._slots: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(stage.threads + 8 * engine.batch * engine.workers):
            self._slots.put(None)
        self._fetched: queue.SimpleQueue[tuple[Result, bytes] | None] = queue.SimpleQueue()
        self._decoded: queue.SimpleQueue[Result | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Result | None] = queue.SimpleQueue()
        stages: list[tuple[Callable[[], None], int]] = [
            (self._fetch_all, stage.threads),
            (self._decode_all, engine.workers if engine.batch == 1 else usable_cores()),
            (self._embed_all, 0 if engine.batch == 1 else engine.workers),
            (self._tick_all, 1),
        ]
        self._threads = [
            threading.Thread(target=self._guarded, args=(stage,), daemon=True)
            for stage, count in stages
            for _ in range(count)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._stage.close()  # a server that stalls would be waited for
        for _ in self._threads:  # wake those that wait
            self._slots.put(None)
            self._fetched.put(None)
            self._decoded.put(None)
        for thread in self._threads:
            thread.join()

    def results(self, tick: Callable[[], object]) -> Iterator[Result]:
        left = self._expected
        while left:
            try:
                result = self._get(self._done)
            except _Stop:
                break
            if result is _TICK:
                tick()
                continue
            left -= 1
            self._slots.put(None)
            yield result
        if self._error is not None:
            raise self._error

    def _guarded(self, stage: Callable[[], None]) -> None:
        try:
            stage()
        except _Stop:
            pass
        except BaseException as error:
            self._error = error
            self._stopping.set()
            self._done.put(None)

    def _fetch_all(self) -> None:
        while (fetched := self._fetch_next()) is not None:
            result = Result(
                fetched.index,
                http_status=fetched.http_status,
                tries=fetched.tries,
                seconds=fetched.seconds,
                final_url=fetched.final_url,
            )
            if fetched.failure is not None:
                self._fail(result, fetched.failure)
            else:
                self._fetched.put((result, fetched.data))

    def _decode_all(self) -> None:
        while True:
            result, data = self._get(self._fetched)
            result.sha256 = hashlib.sha256(data).hexdigest()
            result.size = len(data)
            try:
                result.image = decode(data, self._size, self._min_side, self._larger)
            except RecordFailure as failure:
                self._fail(result, failure)
                continue
            if self._engine.batch == 1:
                self._embed([result])
            else:
                self._decoded.put(result)

    def _embed_all(self) -> None:
        while True:
            batch = [self._get(self._decoded)]
            while len(batch) < self._engine.batch and (more := self._get_soon()):
                batch.append(more)
            self._embed(batch)

    def _embed(self, batch: list[Result]) -> None:
        pixels = np.stack([r.image.pixels for r in batch if r.image])  # (k, size, size, 3)
        for result, embedding in zip(batch, self._engine.embed(pixels), strict=True):
            result.embedding = embedding
            self._done.put(result)

    def _tick_all(self) -> None:
        while not self._stopping.wait(TICK_SECONDS):
            self._done.put(_TICK)

    def _fail(self, result: Result, failure: RecordFailure) -> None:
        result.kind, result.detail = failure.kind, str(failure)
        self._done.put(result)

    def _get_soon(self) -> Result | None:
        """Return the next decoded image, or None if none comes soon: then a batch stays smaller."""
        deadline = time.monotonic() + 0.05
        while True:
            try:
                return self._decoded.get_nowait()
            except queue.Empty:
                if time.monotonic() > deadline:
                    return None
                time.sleep(0.002)

    def _fetch_next(self) -> Fetched | None:
        self._slots.get()
        return None if self._stopping.is_set() else self._stage.next(self._stopping)

    def _get(self, origin: "queue.SimpleQueue[Any]") -> Any:
        if (item := origin.get()) is None or self._stopping.is_set():
            raise _Stop
        return item
