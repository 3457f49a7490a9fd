"""Which record is fetched next."""

import heapq
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

LOOK_AHEAD = 4096  # records taken from the source before their turn, so that hosts can take turns
NAP = 0.1  # s; how often a waiting thread looks whether it should stop


@dataclass(slots=True)
class Job:
    """A record on its way; ``tries`` and ``seconds`` add up over the attempts at it."""

    index: int
    location: str
    host: str
    tries: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class _Host:
    waiting: deque[Job] = field(default_factory=deque)
    active: int = 0
    next_start: float = 0.0
    queued: bool = False


class Schedule:
    """Hands out jobs: hosts take turns, none gets more than its share, and failed ones come again.

    Called from many threads. A job that waits for another attempt holds no thread.

    Parameters
    ----------
    todo : iterable of (index, location)
    host_of : callable
        From a location to its host, or "" for what is not on the network and has no limit.
    per_host : int
        Jobs at a time of one host.
    rate : float or None
        Jobs a second of one host.
    """

    def __init__(
        self,
        todo: Iterable[tuple[int, str]],
        host_of: Callable[[str], str],
        per_host: int = 1,
        rate: float | None = None,
    ) -> None:
        self._source = iter(todo)
        self._host_of = host_of
        self._per_host = per_host
        self._interval = 1 / rate if rate else 0.0
        self._hosts: dict[str, _Host] = {}
        self._ready: list[tuple[float, int, str]] = []  # hosts that may start a job, and when
        self._later: list[tuple[float, int, Job]] = []  # jobs that come again, and when
        self._number = itertools.count()  # keeps the heaps in order of arrival
        self._waiting = 0
        self._open = 0
        self._exhausted = False
        self._changed = threading.Condition()

    def take(self, stopping: threading.Event) -> Job | None:
        """Return the next job, waiting for one if need be; None when all are done or on a stop."""
        with self._changed:
            while not stopping.is_set():
                now = time.monotonic()
                self._look_ahead(now)
                if self._ready and self._ready[0][0] <= now:
                    return self._start(now)
                if self._exhausted and self._open == 0:
                    self._changed.notify_all()
                    return None
                due = [heap[0][0] - now for heap in (self._ready, self._later) if heap]
                self._changed.wait(max(min([NAP, *due]), 0.001))
        return None

    def done(self, job: Job) -> None:
        """Note that a job needs no further attempt."""
        with self._changed:
            self._open -= 1
            self._leave(job.host)

    def again(self, job: Job, delay: float) -> None:
        """Hand a job out again after ``delay`` seconds."""
        with self._changed:
            heapq.heappush(self._later, (time.monotonic() + delay, next(self._number), job))
            self._leave(job.host)

    def pause(self, name: str, seconds: float) -> None:
        """Hand out no job of a host for so long."""
        with self._changed:
            host = self._hosts[name]
            host.next_start = max(host.next_start, time.monotonic() + seconds)
            if host.queued:  # its place in the line is from before
                self._ready = [entry for entry in self._ready if entry[2] != name]
                heapq.heapify(self._ready)
                host.queued = False
                self._queue(name)

    def _look_ahead(self, now: float) -> None:
        while self._later and self._later[0][0] <= now:
            self._wait(heapq.heappop(self._later)[2])
        while not self._exhausted and self._waiting < LOOK_AHEAD:
            index, location = next(self._source, (-1, ""))
            if index < 0:
                self._exhausted = True
                return
            self._open += 1
            self._wait(Job(index, location, self._host_of(location)))

    def _wait(self, job: Job) -> None:
        self._hosts.setdefault(job.host, _Host()).waiting.append(job)
        self._waiting += 1
        self._queue(job.host)

    def _start(self, now: float) -> Job:
        _, _, name = heapq.heappop(self._ready)
        host = self._hosts[name]
        host.queued = False
        job = host.waiting.popleft()
        self._waiting -= 1
        host.active += 1
        host.next_start = max(host.next_start, now + self._interval if name else 0.0)
        self._queue(name)
        return job

    def _leave(self, name: str) -> None:
        self._hosts[name].active -= 1
        self._queue(name)
        self._changed.notify_all()

    def _queue(self, name: str) -> None:
        """Put a host into the line of those that may start a job, if it may."""
        host = self._hosts[name]
        if host.queued or not host.waiting or (name and host.active >= self._per_host):
            return
        host.queued = True
        heapq.heappush(self._ready, (host.next_start, next(self._number), name))
