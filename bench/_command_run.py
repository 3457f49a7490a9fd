"""``bench run``."""

from pathlib import Path
from typing import Any

import click

from bench._command_extract import DEFAULT_STORE
from bench._errors import one_line_errors


@click.command(
    epilog="""\b
Examples:
  bench run --all
  bench run mlp --seed 1
  bench run --all --preset report                   as the papers trained them
  bench run --all --group polarity --results polarity
  bench run mlp --soft-labels --class-weight balanced
  bench run --all --store fi.zarr --results fi_results
""",
)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option(
    "--all",
    "every",
    is_flag=True,
    help="All models: mlp, pca-svm, lightgbm, linear-probe, resnet, fractalnet, finetuned and "
    "noisy-finetuned.",
)
@click.option(
    "--store",
    type=click.Path(path_type=Path),
    default=DEFAULT_STORE,
    show_default=True,
    help="A store made by bench extract.",
)
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=Path("results"),
    show_default=True,
    help="Where to keep results.",
)
@click.option("--seed", default=0, show_default=True, help="Of everything random in a model.")
@click.option(
    "--preset",
    type=click.Choice(["default", "report", "quick"]),
    help="default: what we recommend; report: as published; quick: networks trained for minutes. "
    "Without it default, but quick for networks on drawn images.",
)
@click.option(
    "--soft-labels",
    is_flag=True,
    help="Train on the share of people who saw each emotion (mlp, linear-probe and networks).",
)
@click.option(
    "--class-weight",
    type=click.Choice(["balanced"]),
    help="Let each class count the same in training (mlp, linear-probe and networks).",
)
@click.option(
    "--group",
    "groups",
    multiple=True,
    metavar="NAME=LABEL,...",
    help="Tell groups of labels apart; give it once for each, or a named grouping: polarity. "
    "Images of other labels are left out.",
)
@one_line_errors
def run(
    models: tuple[str, ...],
    every: bool,
    store: Path,
    results: Path,
    groups: tuple[str, ...],
    **options: Any,
) -> None:
    """Train MODELs on a store and compare them with each other and with published baselines.

    Writes results.csv, results.json, accuracy.svg and the trained models. What was run before with
    the same data, settings and versions is not run again.
    """
    if every == bool(models):
        raise click.UsageError("give either --all or the models to run, such as: bench run mlp")
    import featurestore as fs
    from bench._dataset import Dataset, parse_groups
    from bench._models import MODELS, get_model
    from bench._results import ResultsFolder
    from bench._runner import RunOptions, run_models
    from bench._show import show_results

    entries = list(MODELS.values()) if every else [get_model(m) for m in dict.fromkeys(models)]
    data = Dataset(fs.FeatureStore(store), parse_groups(groups))
    with ResultsFolder(results, data) as folder:
        failed = run_models(data, entries, RunOptions(**options), folder, click.echo)
        click.echo()
        click.echo(show_results(folder.results))
        click.echo(f"\nWritten: {', '.join(str(path) for path in folder.written())}")
    if failed:
        raise click.ClickException(f"{', '.join(failed)} failed; see the reasons above")
