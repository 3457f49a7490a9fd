"""``bench inspect`` and ``bench verify``."""

import click

from bench._errors import one_line_errors
from bench._options import DEFAULT_STORE, PLACE, Location

STORE = click.argument("store", type=PLACE, default=DEFAULT_STORE)


@click.command(
    epilog="""\b
Examples:
  bench inspect features.zarr
  bench inspect fi.zarr --failed | grep ^timeout
"""
)
@STORE
@click.option("--failed", is_flag=True, help="List the records that failed, a line each.")
@one_line_errors
def inspect(store: Location, failed: bool) -> None:
    """Show what is in a STORE: labels, splits, failures, size and where it came from."""
    import featurestore as fs
    from bench._show_store import show_failed, show_provenance, show_store

    opened = fs.FeatureStore(store)
    if failed:
        click.echo(show_failed(opened), nl=False)
        return
    click.echo(show_store(opened))
    click.echo()
    click.echo(show_provenance(opened))


@click.command(epilog="\b\nExample:\n  bench verify features.zarr && echo sound\n")
@STORE
@one_line_errors
def verify(store: Location) -> None:
    """Compare every byte of a STORE with what was committed; exit with 1 if any differs."""
    import featurestore as fs

    damages = fs.verify(store)
    for damage in damages:
        click.echo(f"{store}/{damage.place}: {damage.what}", err=True)
    strange = sum(damage.is_strange for damage in damages)
    if strange and strange == len(damages):
        found = "1 file in it is" if strange == 1 else f"{strange} files in it are"
        raise click.ClickException(
            f"{store} itself is sound, but {found} not part of it; move what you want to keep "
            "somewhere else and delete it here"
        )
    if damages:
        places = "1 place" if len(damages) == 1 else f"{len(damages)} places"
        raise click.ClickException(
            f"{store} is damaged in {places}; delete it and give its `bench extract` command again"
        )
    files = len(fs.FeatureStore(store).attributes["objects"]) + 1
    click.echo(f"{store} is sound: all {files} files are as they were committed.")
