"""Every error that featurestore raises on purpose.

    FeatureStoreError                  a command can't go on; the text is one line for the user
    ├── SourceError                    the folder, CSV or option can't be read as a source
    ├── BackboneError                  unknown backbone, or its weights can't be had
    └── StoreError                     something about the store at the given path
        ├── StoreNotFoundError         there is no store
        ├── StoreUnfinishedError       an extraction was begun and hasn't ended
        ├── StoreMismatchError         it was made from something else, or with other settings
        ├── StoreBusyError             another process writes it
        ├── StoreVersionError          written by a newer version of this package
        └── StoreDamagedError          bytes differ from what was committed

    RecordFailure                      one record can't be kept; it becomes a manifest row
    ├── FetchFailure                   its bytes can't be had
    │   ├── NotFound                   not_found        no such file
    │   ├── Unreadable                 unreadable       the file can't be read
    │   └── UnsupportedUrl             unsupported_url  no fetcher for this kind of address
    └── DecodeFailure                  its bytes are no image that can be used
        ├── NotImage                   not_image        empty, or no known image format
        ├── Undecodable                undecodable      truncated or corrupt
        └── TooLarge                   too_large        more pixels than MAX_PIXELS

Two more kinds appear in a manifest without an exception: ``bad_row`` (a CSV row that can't be
read; failed) and, for records that were left out on purpose, ``votes`` (the keep rule) and
``duplicate`` (the same bytes as another record).
"""

from typing import ClassVar


class FeatureStoreError(Exception):
    """A command can't go on; ``str(error)`` says what, where and what to do, in one line."""


class SourceError(FeatureStoreError):
    """The folder, CSV or option can't be read as a source of records."""


class BackboneError(FeatureStoreError):
    """Unknown backbone, or its weights can't be had."""


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


class StoreDamagedError(StoreError):
    """The store's bytes differ from what was committed."""


class RecordFailure(Exception):  # noqa: N818 - a failure of one record, not an error of a command
    """One record can't be kept; ``kind`` and ``str(failure)`` go into the manifest."""

    kind: ClassVar[str]


class FetchFailure(RecordFailure):
    """The record's bytes can't be had."""


class NotFound(FetchFailure):
    """No such file."""

    kind = "not_found"


class Unreadable(FetchFailure):
    """The file is there and can't be read."""

    kind = "unreadable"


class UnsupportedUrl(FetchFailure):
    """No fetcher for this kind of address."""

    kind = "unsupported_url"


class DecodeFailure(RecordFailure):
    """The record's bytes are no image that can be used."""


class NotImage(DecodeFailure):
    """Zero bytes, or no known image format."""

    kind = "not_image"


class Undecodable(DecodeFailure):
    """An image that is truncated or corrupt."""

    kind = "undecodable"


class TooLarge(DecodeFailure):
    """An image of more pixels than ``MAX_PIXELS``."""

    kind = "too_large"
