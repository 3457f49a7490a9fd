"""One attempt to get an image from the web."""

import re
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from importlib.metadata import version
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

import requests
import requests.auth
import requests.exceptions
import requests.utils
import urllib3.exceptions

from featurestore.errors import (
    BadUrl,
    BlockedHost,
    Connect,
    FetchFailure,
    Gone,
    Http4xx,
    Http5xx,
    Placeholder,
    RateLimited,
    Redirects,
    Timeout,
    Tls,
    TooLarge,
)
from featurestore.fetch._guard import Guard, GuardedAdapter, is_public

MAX_REDIRECTS = 5
CONNECT_SECONDS = 10.0  # for a connection, and between two bytes
CHUNK = 64 * 1024
# Flickr sends a request for a removed photo to one of these, and answers 200.
PLACEHOLDERS = re.compile(r"/photo_unavailable[\w.-]*\.(png|gif|jpe?g)$", re.IGNORECASE)


@dataclass(frozen=True)
class WebSettings:
    """How images are downloaded. None of this changes what a store holds once all are there.

    Attributes
    ----------
    threads : int
        Requests at a time.
    per_host : int
        Requests at a time to one host.
    rate : float or None
        Requests a second to one host; None for no limit.
    seconds : float
        For one image, all attempts together; waiting between attempts doesn't count.
    tries : int
        The most attempts at one image.
    max_bytes : int
        Of one image, as sent and as unpacked.
    user_agent : str
    allow_private_hosts : bool
        Whether loopback, link-local, private and multicast addresses may be connected to.
    """

    threads: int = 32
    per_host: int = 8
    rate: float | None = None
    seconds: float = 60.0
    tries: int = 4
    max_bytes: int = 32 * 1024 * 1024
    user_agent: str = f"emotion-bench/{version('emotion-bench')} (research; downloads a data set)"
    allow_private_hosts: bool = False


@dataclass
class Reply:
    """What came of one attempt: ``data``, or the ``failure`` why there is none."""

    data: bytes = b""
    failure: FetchFailure | None = None
    http_status: int = 0
    final_url: str = ""
    seconds: float = 0.0


class Web:
    """Gets images by http and https; may be called from many threads.

    Connections are kept and used again. No cookies are kept, proxies are taken from the usual
    environment variables, and names and passwords from a URL itself alone.
    """

    def __init__(self, settings: WebSettings) -> None:
        self._settings = settings
        self._adapter = GuardedAdapter(pool_connections=64, pool_maxsize=settings.threads)
        self._local = threading.local()
        self._lock = threading.Lock()
        self._guards: set[Guard] = set()  # of requests under way
        self._closed = False

    def get(self, url: str, seconds: float) -> Reply:
        """Return what ``url`` gives within ``seconds``, after redirects."""
        reply = Reply(final_url=url)
        start = time.monotonic()
        with Guard(seconds, self._settings.allow_private_hosts) as guard, self._under_way(guard):
            try:
                reply.data = self._follow(reply, guard)
            except FetchFailure as failure:
                reply.failure = failure
            except (
                requests.exceptions.RequestException,
                urllib3.exceptions.HTTPError,
                OSError,
                ValueError,  # a URL or a header that urllib3 can't parse
                zlib.error,
            ) as error:
                reply.failure = _failure(error)
            if guard.expired:  # a body that was cut short may look complete
                reply.data, reply.failure = b"", Timeout(f"not done after {seconds:.0f} s")
        reply.seconds = time.monotonic() - start
        return reply

    def close(self) -> None:
        """Close all connections; requests under way fail, and so do all that come later."""
        with self._lock:
            self._closed = True
            for guard in self._guards:
                _end(guard)
        self._adapter.close()

    @contextmanager
    def _under_way(self, guard: Guard) -> Iterator[None]:
        """Have ``close`` end a guard's requests."""
        with self._lock:
            self._guards.add(guard)
            if self._closed:
                _end(guard)
        try:
            yield
        finally:
            with self._lock:
                self._guards.discard(guard)

    def _follow(self, reply: Reply, guard: Guard) -> bytes:
        for _ in range(MAX_REDIRECTS + 1):
            self._check(reply.final_url)
            with closing(self._request(reply.final_url, guard)) as response:
                reply.http_status = response.status_code
                target = response.headers.get("location")
                if response.status_code in (301, 302, 303, 307, 308) and target:
                    reply.final_url = _join(reply.final_url, target)
                    continue
                _refuse_status(response)
                return self._body(response)
        raise Redirects(f"more than {MAX_REDIRECTS} redirects, the last to {reply.final_url}")

    def _check(self, url: str) -> None:
        parts = split_url(url)
        if PLACEHOLDERS.search(parts.path):
            raise Placeholder(f"stands for a removed photo: {url}")
        try:
            public = is_public(parts.hostname)
        except ValueError:
            return  # a name; what it resolves to is checked when it is connected to
        if not public and not self._settings.allow_private_hosts:
            raise BlockedHost(f"{parts.hostname} is not a public address")

    def _request(self, url: str, guard: Guard) -> requests.Response:
        limit = min(CONNECT_SECONDS, guard.remaining())
        return self._session().get(url, stream=True, allow_redirects=False, timeout=(limit, limit))

    def _session(self) -> requests.Session:
        """Return this thread's session: sessions can't be shared, the connections below can."""
        if not hasattr(self._local, "session"):
            session = _Session()
            session.mount("http://", self._adapter)
            session.mount("https://", self._adapter)
            session.auth = _only_from_url
            session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
            # Images are compressed already; packing them only helps those who send bombs.
            session.headers.update(
                {"User-Agent": self._settings.user_agent, "Accept-Encoding": "identity"}
            )
            self._local.session = session
        session = self._local.session
        assert isinstance(session, requests.Session)
        return session

    def _body(self, response: requests.Response) -> bytes:
        limit = self._settings.max_bytes
        promised = response.headers.get("content-length", "")
        if promised.isdecimal() and int(promised) > limit:
            raise TooLarge(f"{int(promised):,} bytes; the limit is {limit:,}")
        packed = response.headers.get("content-encoding", "").strip().lower()
        unpack = zlib.decompressobj(47) if packed in ("gzip", "x-gzip", "deflate") else None
        body, received = bytearray(), 0
        for chunk in _chunks(response):
            received += len(chunk)
            body += unpack.decompress(chunk, limit + 1 - len(body)) if unpack else chunk
            if max(received, len(body)) > limit:
                raise TooLarge(f"more than {limit:,} bytes")
        return bytes(body)


def _end(guard: Guard) -> None:
    guard.ends = time.monotonic()  # else the next address or redirect would have its time
    guard.shut_down()


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return None: requests parses the target even where it isn't to follow it, and raises."""


def _only_from_url(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Send the name and password that a URL holds; requests would send those in ~/.netrc, too.

    A list from somebody else names the hosts, and its "default" entry is for any of them.
    """
    name, password = requests.utils.get_auth_from_url(request.url or "")
    basic = requests.auth.HTTPBasicAuth(name, password)
    return basic(request) if name or password else request


class _Url(NamedTuple):
    """The parts of an http or https URL."""

    hostname: str
    path: str


def split_url(url: str) -> _Url:
    """Return host and path of an http or https URL.

    Raises
    ------
    BadUrl
        If it is none, or names no host.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname
        parts.port  # noqa: B018 - raises if it is no number in range
    except ValueError as error:
        raise BadUrl(f"{url}: {error}") from None
    if parts.scheme not in ("http", "https"):
        raise BadUrl(f"{url}: neither http nor https")
    if not host:
        raise BadUrl(f"{url}: names no host")
    return _Url(host, parts.path)


def _join(url: str, target: str) -> str:
    try:
        return urljoin(url, target)
    except ValueError as error:
        raise Redirects(f"leads nowhere: {target[:200]} ({error})") from None


def _chunks(response: requests.Response) -> Iterator[bytes]:
    while chunk := response.raw.read(CHUNK, decode_content=False):
        yield chunk


def _refuse_status(response: requests.Response) -> None:
    status = response.status_code
    text = f"{status} {response.reason or ''}".strip()
    if status in (404, 410):
        raise Gone(text)
    if status == 408:
        raise Timeout(text)
    if status == 429:
        raise RateLimited(text, retry_after=_retry_after(response))
    if status >= 500:
        raise Http5xx(text, retry_after=_retry_after(response))
    if status >= 400:
        raise Http4xx(text)
    if status >= 300:
        raise Redirects(f"{text} without a target")


def _retry_after(response: requests.Response) -> float | None:
    """Return the seconds that the server asks to wait: it gives a number or a date."""
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max((when - datetime.now(UTC)).total_seconds(), 0.0)


def _failure(error: Exception) -> FetchFailure:
    """Return the failure that stands for an exception of requests, urllib3 or a socket."""
    chain = list(_causes(error))
    text = " ".join(str(chain[-1]).split())[:200] or type(chain[-1]).__name__
    if any(
        isinstance(e, requests.exceptions.SSLError | urllib3.exceptions.SSLError) for e in chain
    ):
        return Tls(text)
    if any(isinstance(e, urllib3.exceptions.NewConnectionError) for e in chain):
        return Connect(text)
    timeouts = (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)
    if any(isinstance(e, timeouts) for e in chain):
        return Timeout(f"no answer within {CONNECT_SECONDS:.0f} s")
    bad = (
        requests.exceptions.InvalidURL,
        requests.exceptions.MissingSchema,
        requests.exceptions.InvalidSchema,
        urllib3.exceptions.LocationValueError,
        UnicodeError,
    )
    if any(isinstance(e, bad) for e in chain):
        return BadUrl(text)
    return Connect(text)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and what led to it, however libraries wrapped it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        inner = [a for a in (*error.args, getattr(error, "reason", None)) if _is_error(a)]
        error = error.__cause__ or (inner[0] if inner else error.__context__)


def _is_error(value: object) -> bool:
    return isinstance(value, BaseException)
