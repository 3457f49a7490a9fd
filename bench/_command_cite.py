"""``bench cite``."""

from pathlib import Path

import click

from bench._errors import one_line_errors
from bench._options import DEFAULT_RESULTS, PATH


@click.command(
    epilog="""\b
Examples:
  bench cite
  bench cite fi_results > methods.txt
"""
)
@click.argument("results", type=PATH, default=DEFAULT_RESULTS)
@one_line_errors
def cite(results: Path) -> None:
    """Write a paragraph for a paper's methods section from what RESULTS say of themselves.

    With the references that it needs, and the fingerprints of data, weights and runs.
    """
    from bench._cite import cite as written
    from bench._results import read_results

    click.echo(written(read_results(results)))
