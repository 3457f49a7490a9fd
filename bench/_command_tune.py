"""``bench tune``."""

import shlex
from pathlib import Path

import click

from bench._errors import OUT_OF_TIME, BenchError, one_line_errors
from bench._options import (
    Location,
    given_store,
    group_option,
    results_option,
    seed_option,
    store_option,
)


@click.command(
    epilog="""\b
Examples:
  bench tune mlp --trials 100
  bench tune mlp --trials 100 --save mine && bench run mlp --preset mine
  bench tune resnet --store fi.zarr --results fi_results --timeout 600
  bench tune mlp --grid report                      the report's figures 1 to 4
  bench tune mlp & bench tune mlp                   two processes share one search
""",
)
@click.argument("model", metavar="MODEL")
@click.option(
    "--trials",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many settings to try in all, earlier ones counted. Default: 50, or the whole grid.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="MINUTES",
    help="Train no longer than that; the same command goes on.",
)
@click.option(
    "--grid",
    type=click.Choice(["report"]),
    help="Instead of searching, try what the report tried: mlp and resnet.",
)
@click.option(
    "--max-epochs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Train no model for longer than that.",
)
@click.option("--save", metavar="NAME", help="Keep the best settings as a preset for bench run.")
@seed_option("Of the search and of every model.")
@store_option("A store made by bench extract.")
@results_option("Where to keep trials, in its folder tuning, and presets, in its folder presets.")
@group_option("As for bench run.")
@one_line_errors
def tune(
    model: str,
    trials: int | None,
    timeout: float | None,
    grid: str | None,
    max_epochs: int | None,
    save: str | None,
    seed: int,
    store: Location,
    results: Path,
    groups: tuple[str, ...],
) -> None:
    """Search for a MODEL's best settings on the dev split; the test split is not touched.

    \b
    What is searched, by Optuna's TPE, from the default's settings on:
      mlp           learning_rate, batch_size, epochs, dropout, weight_decay (L2)
      pca-svm       components, C, kernel
      lightgbm      learning_rate, leaves, feature_fraction, l2
      linear-probe  C
      resnet        depth, dropout, learning_rate, batch_size
      fractalnet    columns, drop_path, dropout, learning_rate, batch_size
      finetuned, noisy-finetuned
                    learning_rate, batch_size, dropout, upper_epochs

    mlp and networks end trials early that are worse than half of the others were at that point.

    Every trial is kept as it ends. Stopped at any moment, the same command goes on, and tries the
    same settings as if it had not been stopped. RESULTS/tuning/MODEL.csv and .svg have all trials.

    Exit status: 0 if all is well, 1 for an error, 2 for a wrong command line, 3 if the time was
    used up, 130 if interrupted.
    """
    import featurestore as fs
    from bench._dataset import Dataset, parse_groups
    from bench._models import get_model
    from bench._presets import NOT_SEARCHED, Preset, earlier_preset, save_preset
    from bench._results import read_results, refuse_foreign
    from bench._tuning import Plan, TuneOptions
    from bench._tuning import tune as run_trials
    from bench._tuning_data import TuningData
    from bench._tuning_outputs import show_best, write_study
    from bench._tuning_records import ranked
    from bench._tuning_study import StudyFolder

    entry = get_model(model)
    refuse_foreign(results)
    if save is not None:
        earlier_preset(results, save, model)
    data = TuningData.of(Dataset(fs.FeatureStore(store), parse_groups(groups)), entry.learns_from)
    if (results / "results.json").exists():
        there = read_results(results).store
        if there.fingerprint != data.about["store_fingerprint"]:
            raise BenchError(f"{results}: holds results on another store; give another --results")
    options = TuneOptions(seed, trials, timeout, grid is not None, max_epochs)
    plan = Plan.of(entry, data, options)
    with StudyFolder(results / "tuning", plan.about, plan.ranges()) as folder:
        earlier = len(folder.trials())
        if earlier:
            click.echo(f"{folder.path}: {earlier} trials were begun before")
        in_time = run_trials(plan, data, folder, timeout, click.echo)
        found = folder.trials()
        best = next(iter(ranked(found)), None)
        failed = [trial.reason for trial in found if trial.state == "failed"]
        if best is None and failed:
            raise BenchError(f"no trial ended well; the first one: {failed[0]}")
        if best is not None:
            written = write_study(folder.folder, plan.about, found)
            click.echo(f"\n{show_best(plan.about, found)}")
            if save is not None:
                settings = plan.model(best.values).get_params()
                assert best.dev_accuracy is not None
                preset = Preset(
                    model=model,
                    settings={k: v for k, v in settings.items() if k not in NOT_SEARCHED},
                    dev_accuracy=best.dev_accuracy,
                    store_fingerprint=plan.about.store_fingerprint,
                    trials=sum(trial.state != "running" for trial in found),
                )
                before = earlier_preset(results, save, model)
                # As JSON, which has no tuples.
                if before and before.model_dump_json() != preset.model_dump_json():
                    earlier_dev = f"dev {100 * before.dev_accuracy:.1f} %"
                    click.echo(f"\n{save}: in place of an earlier one ({earlier_dev})")
                written.append(save_preset(results, save, preset))
            click.echo(f"\nWritten: {', '.join(str(path) for path in written)}")
            if save is not None:
                where = f"{given_store(store)} --results {shlex.quote(str(results))}"
                where += "".join(f" --group {shlex.quote(group)}" for group in groups)
                click.echo(f"Next: bench run {model} --preset {save}{where}")
    if not in_time:
        click.echo("The time is used up. Give the same command again to go on.", err=True)
        raise SystemExit(OUT_OF_TIME)
