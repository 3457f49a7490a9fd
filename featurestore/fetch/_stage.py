"""The first stage of the pipeline: from records to bytes or typed failures."""

import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from featurestore.errors import BadUrl, FetchFailure, RecordFailure
from featurestore.fetch._originals import Original, Originals
from featurestore.fetch._schedule import Job, Schedule
from featurestore.fetch._web import Web, WebSettings, split_url

LOCAL_THREADS = 8  # enough to keep a local disk busy
FIRST_DELAY, DELAY_FACTOR = 1.0, 4.0  # s between attempts: about 1, 4, 16
LONGEST_PAUSE = 300.0  # s; a server that asks for more is not waited for


@dataclass(slots=True)
class Fetched:
    """What fetching a record gave: ``data``, or the ``failure`` why there is none.

    Attributes
    ----------
    index : int
        Which record.
    data : bytes
    failure : RecordFailure or None
    http_status : int
        Of the last answer, 0 if there was none; of kept originals, that when they were downloaded.
    tries : int
        Attempts over the network, 0 for local files and kept originals.
    seconds : float
        Spent in them.
    final_url : str
        After redirects; "" for local files. Of kept originals like the status.
    """

    index: int
    data: bytes = b""
    failure: RecordFailure | None = None
    http_status: int = 0
    tries: int = 0
    seconds: float = 0.0
    final_url: str = ""


def is_remote(location: str) -> bool:
    """Return whether a record's location is to be fetched over the network."""
    return location[:8].lower().startswith(("http://", "https://"))


class FetchStage:
    """Fetches records; ``next`` is called from ``threads`` threads.

    Parameters
    ----------
    todo : sequence of (index, location)
    fetch_local : callable
        From a location to its bytes; raises FetchFailure.
    settings : WebSettings
    originals : Originals or None
        Where bytes from the network are kept, and looked for first.
    """

    def __init__(
        self,
        todo: Iterable[tuple[int, str]],
        fetch_local: Callable[[str], bytes],
        settings: WebSettings,
        originals: Originals | None = None,
    ) -> None:
        todo = list(todo)
        remote = any(is_remote(location) for _, location in todo)
        self.threads = settings.threads if remote else LOCAL_THREADS
        self._fetch_local = fetch_local
        self._settings = settings
        self._originals = originals
        self._web = Web(settings)
        # Hosts that ask for too long a pause: until when, and how their records fail meanwhile.
        self._refusals: dict[str, tuple[float, FetchFailure]] = {}
        self._schedule = Schedule(todo, _host_of, settings.per_host, settings.rate)

    def next(self, stopping: threading.Event) -> Fetched | None:
        """Return the next record that is fetched or has failed; None when there are no more."""
        while (job := self._schedule.take(stopping)) is not None:
            if (fetched := self._attempt(job)) is not None:
                self._schedule.done(job)
                return fetched
        return None

    def close(self) -> None:
        """Close all connections; downloads under way fail."""
        self._web.close()

    def _attempt(self, job: Job) -> Fetched | None:
        """Try once; return None if the job is to be tried again."""
        if not is_remote(job.location):
            try:
                return Fetched(job.index, self._fetch_local(job.location))
            except FetchFailure as failure:
                return Fetched(job.index, failure=failure)
        if self._originals and (kept := self._originals.find(job.location)) is not None:
            return Fetched(
                job.index, kept.data, http_status=kept.http_status, final_url=kept.final_url
            )
        if (refusal := self._refusal(job.host)) is not None:
            return Fetched(job.index, failure=refusal, tries=job.tries, seconds=job.seconds)
        reply = self._web.get(job.location, self._settings.seconds - job.seconds)
        job.tries += 1
        job.seconds += reply.seconds
        if reply.failure is not None and self._come_again(job, reply.failure):
            return None
        if reply.failure is None and self._originals:
            original = Original(reply.data, reply.http_status, reply.final_url)
            self._originals.keep(job.location, original)
        return Fetched(
            job.index,
            reply.data,
            reply.failure,
            reply.http_status,
            job.tries,
            job.seconds,
            reply.final_url,
        )

    def _come_again(self, job: Job, failure: FetchFailure) -> bool:
        asked = failure.retry_after
        if asked is not None and asked > LONGEST_PAUSE:
            refusal = type(failure)(f"not asked: {job.host} asks for a pause of {asked:,.0f} s")
            self._refusals[job.host] = time.monotonic() + asked, refusal
            return False
        if asked is not None:
            self._schedule.pause(job.host, asked)
        spent = job.seconds >= self._settings.seconds - 0.1
        if not failure.heals or job.tries >= self._settings.tries or spent:
            return False
        # Jitter, so that records that failed together don't come back together.
        delay = FIRST_DELAY * DELAY_FACTOR ** (job.tries - 1) * random.uniform(0.75, 1.25)
        self._schedule.again(job, max(delay, asked or 0.0))
        return True

    def _refusal(self, host: str) -> FetchFailure | None:
        """Return why a host isn't to be asked now, if it isn't."""
        until, refusal = self._refusals.get(host, (0.0, None))
        return refusal if time.monotonic() < until else None


def _host_of(location: str) -> str:
    if not is_remote(location):
        return ""
    try:
        return split_url(location).hostname
    except BadUrl:
        return ""  # fails without a request
