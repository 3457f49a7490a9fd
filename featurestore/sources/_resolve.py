"""From what the user typed to a source."""

from dataclasses import dataclass, field
from pathlib import Path

from featurestore._labels import MIKELS
from featurestore._records import Source
from featurestore._votes import KeepRule
from featurestore.errors import SourceError
from featurestore.sources._csv import find_csvs, read_csv
from featurestore.sources._folder import read_folder
from featurestore.sources._h5 import is_h5, read_h5
from featurestore.sources._img2dataset import is_img2dataset, read_img2dataset
from featurestore.sources._sample import read_sample


@dataclass(frozen=True)
class SourceOptions:
    """How a source is to be read.

    Attributes
    ----------
    labels : tuple of str or None
        Label names of a CSV, an HDF5 file or img2dataset's folder, in the order of their ids; None
        means those that it names itself, or else Mikels' eight.
    label_base : {0, 1} or None
        What integer labels of a CSV or of img2dataset's count from, where the column can't tell.
    keep : KeepRule
    label_column : str or None
        Which column of img2dataset's holds the labels.
    allow_outside : bool
        Whether a CSV's paths may lead out of the folder it lies in.
    """

    labels: tuple[str, ...] | None = None
    label_base: int | None = None
    keep: KeepRule = field(default_factory=KeepRule)
    label_column: str | None = None
    allow_outside: bool = False


def read_source(name: str, options: SourceOptions | None = None) -> Source:
    """Return the source called ``name``: "sample", a CSV or HDF5 file, a folder of CSVs or images.

    A folder that holds a CSV file at its top is read by its CSVs, one that holds numbered tars, or
    numbered folders with a Parquet file each, as img2dataset's; a folder that is itself called
    "sample" is "./sample".

    Raises
    ------
    SourceError
        If there is no such source, or it can't be read.
    """
    options = options or SourceOptions()
    path = Path(name)
    if name == "sample":
        _refuse_label_column(options)
        _refuse_label_options(options)
        return read_sample()
    if not path.exists():
        raise SourceError(
            f"{name}: no such file or folder; give 'sample', a CSV or HDF5 file, a folder of CSVs, "
            "of class folders or one that img2dataset wrote"
        )
    by_csv = path.is_dir() and bool(find_csvs(path))
    if path.is_dir() and not by_csv and is_img2dataset(path):
        return read_img2dataset(
            path,
            label_names=options.labels,
            label_base=options.label_base,
            label_column=options.label_column,
        )
    _refuse_label_column(options)
    if path.is_file() and is_h5(path):
        if options.label_base is not None:
            raise SourceError("--label-base is for integer labels; those of HDF5 are columns")
        return read_h5(path, label_names=options.labels)
    if path.is_file() or by_csv:
        return read_csv(
            path,
            label_names=options.labels or MIKELS,
            label_base=options.label_base,
            keep=options.keep,
            allow_outside=options.allow_outside,
        )
    _refuse_label_options(options)
    return read_folder(path)


def _refuse_label_options(options: SourceOptions) -> None:
    if options.labels or options.label_base is not None:
        raise SourceError(
            "this source names its labels itself; leave --labels and --label-base out"
        )


def _refuse_label_column(options: SourceOptions) -> None:
    if options.label_column is not None:
        raise SourceError("--label-column is for folders that img2dataset wrote; this is none")
