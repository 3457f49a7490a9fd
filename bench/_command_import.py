"""``bench import``."""

from typing import Any

import click

from bench._command_extract import _names, extract, make_store
from bench._errors import one_line_errors
from bench._options import Location

KINDS = ("h5", "img2dataset")
# Of extract's options, those that say what a store is made with; the others are for votes,
# downloads and Dask's workers, of which there are none here.
_SHARED = (
    *("store", "backbone", "weights", "embed_size", "embed_from", "mirror", "image_size"),
    *("split", "seed", "label_base", "engine", "min_side", "retry_failed"),
)
_OWN = (
    click.Option(
        ["--labels"],
        metavar="A,B,...",
        help="Label names in the order of their ids.  [default: those that SOURCE names, else "
        "Mikels' eight emotions]",
    ),
    click.Option(
        ["--label-column"],
        metavar="NAME",
        help="Column of img2dataset's Parquet files, or key of its JSON, that holds the labels.  "
        "[default: label, emotion, class or category]",
    ),
)


@click.command(
    "import",
    params=[
        click.Argument(["source"]),
        *_OWN,
        *(option for option in extract.params if option.name in _SHARED),
    ],
    epilog="""\b
Examples:
  bench import final_aes_emo.h5 --store aes.zarr
  bench import faces.h5 --store faces.zarr --labels calm,tense --min-side 16
  bench import laion/ --store laion.zarr --label-column mood     what img2dataset wrote
  bench import features_webdataset/ --store again.zarr           what bench export wrote
""",
)
@one_line_errors
def import_(
    source: str,
    store: Location,
    labels: str | None,
    label_base: str | None,
    label_column: str | None,
    image_size: tuple[int, ...],
    retry_failed: str | None,
    **settings: Any,
) -> None:
    """Make a store from SOURCE, a data set that another program wrote.

    SOURCE is an HDF5 file with the arrays "image", uint8 (n, height, width, 3), and "emo",
    (n, labels), of which one in each row is 1; or a folder that img2dataset wrote, as files or as
    tars.

    The images go the way of `bench extract`, which takes the same sources: killed at any moment,
    the same command goes on where it was.
    """
    import featurestore as fs

    base = None if label_base is None else int(label_base)
    found = fs.read_source(
        source,
        fs.SourceOptions(labels=_names(labels), label_base=base, label_column=label_column),
    )
    if found.kind not in KINDS:
        raise click.ClickException(
            f"{source}: is no HDF5 file and no folder that img2dataset wrote; give it to "
            "`bench extract`"
        )
    made_with = fs.ExtractSettings(image_sizes=image_size, **settings)
    make_store(found, store, made_with, retry_failed)
