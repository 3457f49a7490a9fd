"""A store of images, embeddings and labels for work on the emotions that images evoke.

source = featurestore.read_source("sample")
store = featurestore.extract(source, "features.zarr")
X, y = store.embeddings()[:], store.labels
"""

from featurestore import errors
from featurestore._backbones import BACKBONES, Backbone
from featurestore._extract import Progress, extract
from featurestore._job import ExtractSettings
from featurestore._labels import MIKELS
from featurestore._records import SPLITS, Record, Source
from featurestore._store import FeatureStore
from featurestore._verify import Damage, verify
from featurestore._votes import KeepRule
from featurestore.errors import FeatureStoreError, StoreError
from featurestore.fetch import WebSettings
from featurestore.sources import SourceOptions, read_source

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
