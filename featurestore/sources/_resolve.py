"""From what the user typed to a source."""

from dataclasses import dataclass, field
from pathlib import Path

from featurestore._labels import MIKELS
from featurestore._records import Source
from featurestore._votes import KeepRule
from featurestore.errors import SourceError
from featurestore.sources._csv import read_csv
from featurestore.sources._folder import read_folder
from featurestore.sources._sample import read_sample


@dataclass(frozen=True)
class SourceOptions:
    """How a source is to be read.

    Attributes
    ----------
    labels : tuple of str or None
        Label names of a CSV in the order of their ids; None means Mikels' eight.
    label_base : {0, 1} or None
        What a CSV's integer labels count from, where its column can't tell.
    keep : KeepRule
    """

    labels: tuple[str, ...] | None = None
    label_base: int | None = None
    keep: KeepRule = field(default_factory=KeepRule)


def read_source(name: str, options: SourceOptions | None = None) -> Source:
    """Return the source called ``name``: "sample", a CSV file, a folder of CSVs or of images.

    A folder that holds a CSV file at its top is read by its CSVs; a folder that is itself called
    "sample" is "./sample".

    Raises
    ------
    SourceError
        If there is no such source, or it can't be read.
    """
    options = options or SourceOptions()
    path = Path(name)
    if name == "sample":
        _refuse_csv_options(options)
        return read_sample()
    if not path.exists():
        raise SourceError(
            f"{name}: no such file or folder; give 'sample', a CSV file, a folder of CSVs or a "
            "folder of class folders"
        )
    if path.is_file() or any(path.glob("*.[cC][sS][vV]")):
        return read_csv(
            path,
            label_names=options.labels or MIKELS,
            label_base=options.label_base,
            keep=options.keep,
        )
    _refuse_csv_options(options)
    return read_folder(path)


def _refuse_csv_options(options: SourceOptions) -> None:
    if options.labels or options.label_base is not None:
        raise SourceError("--labels and --label-base are for CSV sources; this one is not")
