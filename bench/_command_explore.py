"""``bench explore``."""

from pathlib import Path

import click

from bench._errors import BenchError, one_line_errors
from bench._options import DEFAULT_RESULTS, PATH, Location, store_option


@click.command(
    epilog="""\b
Examples:
  bench explore
  bench explore --store fi.zarr --results fi_results
  bench explore --port 0 --no-browser
"""
)
@store_option("What to look at.")
@click.option(
    "--results",
    type=PATH,
    help="What models said of it.  [default: results, if it has results on this store]",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Where the page is; 0 for any free port.",
)
@click.option("--no-browser", is_flag=True, help="Only print the page's address.")
@one_line_errors
def explore(store: Location, results: Path | None, port: int, no_browser: bool) -> None:
    """Look at a store and its results on a page in the browser, served by this computer for itself.

    Images by label, split and what models say of them; their nearest neighbours; what records
    failed; and what the models say of any image that is dropped on the page.
    """
    import threading
    import webbrowser

    import featurestore as fs
    from bench.explore._catalogue import Catalogue
    from bench.explore._server import listen, serve

    def opened(address: str) -> None:
        click.echo(f"Open {address} to explore {store}; Ctrl-C ends it.")
        if not no_browser:  # some browsers keep who starts them waiting
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    data = fs.FeatureStore(store)
    listening = listen(port)
    try:
        try:
            catalogue = Catalogue(data, results or DEFAULT_RESULTS)
        except BenchError as error:
            if results is not None:
                raise
            click.echo(f"Without predictions: {error}", err=True)
            catalogue = Catalogue(data)
        serve(catalogue, listening, opened)
    finally:
        listening.close()
    click.echo("\nStopped.")
