from . import errors
from ._backbones import BACKBONES, Backbone
from ._extract import Progress, extract
from ._job import ExtractSettings
from ._labels import MIKELS
from ._records import SPLITS, Record, Source
from ._store import FeatureStore
from ._verify import Damage, verify
from ._votes import KeepRule
from .errors import FeatureStoreError, StoreError
from .fetch import WebSettings
from .sources import SourceOptions, read_source

__all__ = [
    "BACKBONES",
    "MIKELS",
    "SPLITS",
    "Backbone",
    "Damage",
    "ExtractSettings",
    "FeatureStore",
    "FeatureStoreError",
    "KeepRule",
    "Progress",
    "Record",
    "Source",
    "SourceOptions",
    "StoreError",
    "WebSettings",
    "errors",
    "extract",
    "read_source",
    "verify",
]
