"""Fetching: from a record's id to its bytes, or to a typed failure."""

from featurestore.fetch._local import fetch_file, fetch_location, refuse_size
from featurestore.fetch._originals import Originals
from featurestore.fetch._stage import Fetched, FetchStage, is_remote
from featurestore.fetch._web import WebSettings

__all__ = [
    "FetchStage",
    "Fetched",
    "Originals",
    "WebSettings",
    "fetch_file",
    "fetch_location",
    "is_remote",
    "refuse_size",
]
