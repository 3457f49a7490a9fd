"""Sources: where records come from."""

from featurestore.sources._csv import read_csv
from featurestore.sources._folder import read_folder
from featurestore.sources._h5 import read_h5
from featurestore.sources._img2dataset import read_img2dataset
from featurestore.sources._resolve import SourceOptions, read_source
from featurestore.sources._sample import read_sample

__all__ = [
    "SourceOptions",
    "read_csv",
    "read_folder",
    "read_h5",
    "read_img2dataset",
    "read_sample",
    "read_source",
]
