"""``bench report`` and ``bench compare``."""

from pathlib import Path

import click

from bench._errors import one_line_errors
from bench._options import DEFAULT_RESULTS, PATH, Location, store_option


@click.command(
    epilog="""\b
Examples:
  bench report
  bench report fi_results --store fi.zarr
"""
)
@click.argument("results", type=PATH, default=DEFAULT_RESULTS)
@store_option("The store it is on.")
@one_line_errors
def report(results: Path, store: Location) -> None:
    """Show the table of RESULTS again, and write its report and tables anew; nothing is trained."""
    import featurestore as fs
    from bench._dataset import Dataset
    from bench._outputs import write_outputs
    from bench._results import ResultsFolder, read_results
    from bench._tables import show_results

    groups = read_results(results).store.groups
    data = Dataset(fs.FeatureStore(store), {name: tuple(g) for name, g in groups.items()})
    with ResultsFolder(results, data.describe()) as folder:
        written = write_outputs(folder, data)
        click.echo(show_results(folder.results))
        click.echo(f"\nWritten: {', '.join(str(path) for path in written)}")


@click.command(
    epilog="""\b
Examples:
  bench compare results_224px results_160px
  bench compare results results_after_the_upgrade
"""
)
@click.argument("a", type=PATH, metavar="RESULTS_A")
@click.argument("b", type=PATH, metavar="RESULTS_B")
@one_line_errors
def compare(a: Path, b: Path) -> None:
    """Show what changed between two folders of results, and whether data, code or settings differ.

    Models that were tested on the same images are compared image by image, even if the images were
    embedded differently.
    """
    from bench._compare import show_comparison

    click.echo(show_comparison(a, b))
