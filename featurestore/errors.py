"""Every error that featurestore raises on purpose.

    FeatureStoreError                  a command can't go on; the text is one line for the user
    ├── SourceError                    the folder, CSV or option can't be read as a source
    ├── BackboneError                  unknown backbone, or its weights can't be had
    ├── WorkersError                   a scheduler can't be reached, or its workers can't work
    └── StoreError                     something about the store at the given path
        ├── StoreNotFoundError         there is no store
        ├── StoreUnfinishedError       an extraction was begun and hasn't ended
        ├── StoreMismatchError         it was made from something else, or with other settings
        ├── StoreBusyError             another process writes it
        ├── StoreVersionError          written by a newer version of this package
        ├── StoreUnreachableError      its object store refuses, or can't be reached
        └── StoreDamagedError          bytes differ from what was committed

    RecordFailure                      one record can't be kept; it becomes a manifest row
    ├── FetchFailure                   its bytes can't be had
    │   ├── NotFound                   not_found        no such file
    │   ├── Unreadable                 unreadable       the file can't be read
    │   ├── Outside                    outside          leads out of the CSV's folder
    │   ├── BadUrl                     bad_url          not an http, https or file URL
    │   ├── Dns                        dns              no such host                 (*)
    │   ├── BlockedHost                blocked_host     not a public address
    │   ├── Connect                    connect          refused, reset or cut short   *
    │   ├── Tls                        tls              no valid certificate
    │   ├── Timeout                    timeout          not done in time              *
    │   ├── Redirects                  redirects        too many, or without a target
    │   ├── Gone                       gone             404 or 410
    │   ├── Http4xx                    http_4xx         refused: 400, 401, 403 ...
    │   ├── RateLimited                rate_limited     429                           *
    │   ├── Http5xx                    http_5xx         the server failed             *
    │   └── Placeholder                placeholder      a picture that stands for a removed one
    ├── TooLarge                       too_large        more bytes or pixels than the limit
    └── DecodeFailure                  its bytes are no image that can be used
        ├── NotImage                   not_image        empty, or no known image format
        ├── Undecodable                undecodable      truncated or corrupt
        └── TooSmall                   too_small        fewer pixels a side than the limit

    * may heal: is tried again; a name is tried again when the resolver says that it may help.

Four more kinds appear in a manifest without an exception: ``bad_row`` (a CSV row that can't be
read; failed), ``placeholder`` (bytes that many URLs share; failed) and, for records that were left
out on purpose, ``votes`` (the keep rule) and ``duplicate`` (the same bytes as another record).
"""

from typing import ClassVar

# Kinds that another day, another network or other limits may turn into an image.
RETRYABLE_KINDS = (
    *("not_found", "unreadable", "outside", "bad_url", "dns", "blocked_host", "connect", "tls"),
    *("timeout", "redirects", "gone", "http_4xx", "rate_limited", "http_5xx", "placeholder"),
    *("too_large", "not_image", "undecodable"),
)


class FeatureStoreError(Exception):
    """A command can't go on; ``str(error)`` says what, where and what to do, in one line."""


class SourceError(FeatureStoreError):
    """The folder, CSV or option can't be read as a source of records."""


class BackboneError(FeatureStoreError):
    """Unknown backbone, or its weights can't be had."""


class WorkersError(FeatureStoreError):
    """A scheduler can't be reached, or its workers can't do the work."""


class StoreError(FeatureStoreError):
    """Something is wrong with the store at the given path."""


class StoreNotFoundError(StoreError):
    """There is no store at the given path."""


class StoreUnfinishedError(StoreError):
    """An extraction into this store was begun and hasn't ended."""


class StoreMismatchError(StoreError):
    """The store was made from another source or with other settings."""


class StoreBusyError(StoreError):
    """Another process is writing this store."""


class StoreVersionError(StoreError):
    """The store was written by a newer version of this package."""


class StoreUnreachableError(StoreError):
    """The object store that holds the store refuses, or can't be reached."""


class StoreDamagedError(StoreError):
    """The store's bytes differ from what was committed."""


class RecordFailure(Exception):  # noqa: N818 - a failure of one record, not an error of a command
    """One record can't be kept; ``kind`` and ``str(failure)`` go into the manifest."""

    kind: ClassVar[str]


class FetchFailure(RecordFailure):
    """The record's bytes can't be had.

    Attributes
    ----------
    heals : bool
        Whether another attempt may succeed.
    retry_after : float or None
        Seconds that the server asks to wait before it.
    """

    heals: bool = False
    retry_after: float | None = None


class NotFound(FetchFailure):
    """No such file."""

    kind = "not_found"


class Unreadable(FetchFailure):
    """The file is there and can't be read."""

    kind = "unreadable"


class Outside(FetchFailure):
    """The file lies outside of the source's folder, where nothing allows reading it."""

    kind = "outside"


class BadUrl(FetchFailure):
    """Not an http, https or file URL, or one that can't be parsed."""

    kind = "bad_url"


class Dns(FetchFailure):
    """The host's name can't be resolved."""

    kind = "dns"

    def __init__(self, text: str, *, heals: bool) -> None:
        super().__init__(text)
        self.heals = heals


class BlockedHost(FetchFailure):
    """The host is not on the public internet."""

    kind = "blocked_host"


class Connect(FetchFailure):
    """The connection was refused, reset or cut short."""

    kind = "connect"
    heals = True


class Tls(FetchFailure):
    """No encrypted connection: most often an invalid certificate."""

    kind = "tls"


class Timeout(FetchFailure):
    """Not done in time."""

    kind = "timeout"
    heals = True


class Redirects(FetchFailure):
    """Too many redirects, or one that leads nowhere."""

    kind = "redirects"


class Gone(FetchFailure):
    """404 or 410: the image isn't there any more."""

    kind = "gone"


class Http4xx(FetchFailure):
    """The server refuses: 400, 401, 403 and others."""

    kind = "http_4xx"


class RateLimited(FetchFailure):
    """429: too many requests."""

    kind = "rate_limited"
    heals = True

    def __init__(self, text: str, *, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class Http5xx(FetchFailure):
    """The server failed."""

    kind = "http_5xx"
    heals = True

    def __init__(self, text: str, *, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class Placeholder(FetchFailure):
    """The server gives a picture that stands for a removed one."""

    kind = "placeholder"


class DecodeFailure(RecordFailure):
    """The record's bytes are no image that can be used."""


class NotImage(DecodeFailure):
    """Zero bytes, or no known image format."""

    kind = "not_image"


class Undecodable(DecodeFailure):
    """An image that is truncated or corrupt."""

    kind = "undecodable"


class TooSmall(DecodeFailure):
    """An image with fewer pixels a side than the limit."""

    kind = "too_small"


class TooLarge(FetchFailure, DecodeFailure):
    """More bytes than may be downloaded, or more pixels than ``MAX_PIXELS``."""

    kind = "too_large"


def in_short(error: BaseException) -> str:
    """Return what another library's error says, in one line that fits into one of ours."""
    return " ".join(str(error).split())[:200] or type(error).__name__
