"""``bench run``."""

import atexit
import gc
from pathlib import Path
from typing import Any

import click

from bench._errors import OUT_OF_TIME, BenchError, goes_on_without, one_line_errors
from bench._options import (
    MOST_SEED,
    Location,
    group_option,
    results_option,
    seed_option,
    store_option,
)


@click.command(
    epilog="""\b
Examples:
  bench run --all
  bench run mlp pca-svm --seeds 5                   five seeds, 0 to 4
  bench run --all --time-budget 120                 two hours; once more to go on
  bench run --all --preset report                   as the papers trained them
  bench run --all --group polarity --results polarity
  bench run mlp --preset mine                       settings that bench tune saved
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
@store_option("A store made by bench extract.")
@results_option("Where to keep results.")
@seed_option("Of everything random in a model.")
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many seeds, from --seed on; the table has their mean and standard deviation.",
)
@click.option(
    "--preset",
    metavar="default|report|quick|NAME",
    help="default: what we recommend; report: as published; quick: networks trained for minutes; "
    "NAME or a file: what bench tune saved, for its model. Without it default, but quick for "
    "networks on drawn images.",
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
@group_option(
    "Tell groups of labels apart; give it once for each, or a named grouping: polarity. Images of "
    "other labels are left out."
)
@click.option(
    "--time-budget",
    type=click.FloatRange(min=0, min_open=True),
    metavar="MINUTES",
    help="Train no longer than that. What is missing then is unfinished; the same command goes on.",
)
@click.option("--force", is_flag=True, help="Redo what was run before; leave it out to go on.")
@one_line_errors
def run(
    models: tuple[str, ...],
    every: bool,
    store: Location,
    results: Path,
    groups: tuple[str, ...],
    preset: str | None,
    **options: Any,
) -> None:
    """Train MODELs on a store and compare them with each other and with published baselines.

    Writes report.html, results.json, .csv, .md and .tex, accuracy.svg, and for each run the trained
    model and its predictions. What was run before with the same data, settings and versions is not
    run again; what was interrupted goes on.

    Exit status: 0 if all is well, 1 if a model failed or there was an error, 2 for a wrong command
    line, 3 if the time budget was used up, 130 if interrupted.
    """
    if every == bool(models):
        raise click.UsageError("give either --all or the models to run, such as: bench run mlp")
    if options["seed"] + options["seeds"] - 1 > MOST_SEED:
        raise click.UsageError(f"--seed and --seeds: the last seed is above {MOST_SEED}; give less")
    import featurestore as fs
    from bench._dataset import Dataset, parse_groups
    from bench._models import MODELS, STANDARD_PRESETS, get_model
    from bench._outputs import write_outputs
    from bench._results import ResultsFolder
    from bench._runner import RunOptions, run_models
    from bench._show_store import has_one_label, lacking
    from bench._tables import show_results

    entries = list(MODELS.values()) if every else [get_model(m) for m in dict.fromkeys(models)]
    if preset is None or preset in STANDARD_PRESETS:
        options["preset"] = preset
    else:
        from bench._presets import find_preset

        name, found = options["saved"] = find_preset(results, preset)
        if found.model not in (entry.name for entry in entries):
            raise BenchError(f"the preset {name} is one of {found.model}; run that")
    data = Dataset(fs.FeatureStore(store), parse_groups(groups))
    if lack := lacking(data.store):
        if has_one_label(data.store):
            raise BenchError(f"{store}: {lack}")
        click.echo(lack, err=True)
    if "saved" in options and found.store_fingerprint != data.store.fingerprint:
        click.echo(
            f"The preset {name} was found on another store: others may be better on this one, and "
            "if both have images in common, accuracies may be too high."
        )
    # Before it ends, Python would look once more through all that TensorFlow made: for a second.
    atexit.register(gc.freeze)
    asked = RunOptions(**options)
    with ResultsFolder(results, data.describe()) as folder:
        if asked.force:
            goes_on_without("--force")
        outcome = run_models(data, entries, asked, folder, click.echo)
        written = write_outputs(folder, data)
        click.echo()
        click.echo(show_results(folder.results))
        click.echo(f"\nWritten: {', '.join(str(path) for path in written)}")
    if outcome.failed:
        raise click.ClickException(f"failed: {'; '.join(outcome.failed)}; see the reasons above")
    if outcome.unfinished:
        click.echo(
            f"The time budget is used up; unfinished: {'; '.join(outcome.unfinished)}. Give "
            f"{asked.again} to go on.",
            err=True,
        )
        raise SystemExit(OUT_OF_TIME)
