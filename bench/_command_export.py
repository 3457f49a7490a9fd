"""``bench export``."""

from pathlib import Path

import click

from bench._command_inspect import STORE
from bench._errors import one_line_errors
from bench._options import PATH, Location

FORMATS = ("h5", "parquet", "npz", "tfrecord", "webdataset")  # importing them would take a second


@click.command(
    epilog="""\b
Examples:
  bench export features.zarr --to h5
  bench export fi.zarr --to parquet --out fi/train.parquet
  bench export fi.zarr --to webdataset --out shards/ --force
"""
)
@STORE
@click.option(
    "--to",
    "form",
    type=click.Choice(FORMATS),
    required=True,
    help="h5, parquet and npz are a file, tfrecord and webdataset a folder of shards.",
)
@click.option(
    "--out",
    type=PATH,
    metavar="PATH",
    help="Where to.  [default: beside the store, such as features.h5 or features_webdataset]",
)
@click.option("--force", is_flag=True, help="Replace an earlier export, once the new one is whole.")
@one_line_errors
def export(store: Location, form: str, out: Path | None, force: bool) -> None:
    """Write a STORE's images, embeddings, labels and splits in a form that other programs read.

    All rows in their order, with the sha256 of each image's file, the store's fingerprint, the
    labels' names and whether the images are synthetic. The same store gives the same bytes. Killed,
    it leaves nothing under the final name; give the same command again.
    """
    import sys

    from tqdm import tqdm

    import featurestore as fs
    from featurestore.export import default_target, export_store

    opened = fs.FeatureStore(store)
    hidden = not sys.stderr.isatty()
    with tqdm(desc="exporting", unit="B", unit_scale=True, leave=False, disable=hidden) as bar:
        path = export_store(
            opened,
            form,
            out or default_target(store, form),
            force=force,
            begin=bar.reset,
            step=bar.update,
        )
    files = [path] if path.is_file() else list(path.iterdir())
    size = sum(file.stat().st_size for file in files)
    click.echo(f"{path}: {len(opened):,} images, {size / 1e6:.1f} MB")
