"""The command line. Commands import what they need when they run, so that help is instant."""

import click

from bench._command_cite import cite
from bench._command_compare import compare, report
from bench._command_explore import explore
from bench._command_export import export
from bench._command_extract import extract
from bench._command_import import import_
from bench._command_inspect import inspect, verify
from bench._command_predict import predict
from bench._command_run import run
from bench._command_tune import tune


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Examples:
  bench extract && bench run --all     the embedded synthetic sample, end to end
  bench extract fi_csvs/ --store fi.zarr
  bench run --all --store fi.zarr --results fi_results
""",
)
@click.version_option(package_name="emotion-bench", prog_name="bench")
def main() -> None:
    """Which emotion does an image evoke? A feature store and a classifier benchmark.

    Extract images and embeddings once; train and compare classifiers on them as often as you like.
    """


for command in (
    *(cite, extract, run, tune, report, compare, predict, inspect, verify, explore),
    *(export, import_),
):
    main.add_command(command)
