"""``bench predict``."""

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench._errors import one_line_errors
from bench._options import results_option

if TYPE_CHECKING:
    from bench._predictor import Answer

SHOWN = 3


@click.command(
    epilog="""\b
Examples:
  bench predict photo.jpg
  bench predict holiday/ --csv > holiday.csv
  bench predict https://example.org/cat.jpg --model pca-svm --top 1
  bench predict photo.jpg --results fi_results --json
"""
)
@click.argument("images", nargs=-1, required=True, metavar="IMAGE|FOLDER|URL...")
@results_option("Where bench run kept its models.")
@click.option(
    "--model",
    metavar="RUN",
    help="A model's name, or (the beginning of) the name of a folder in RESULTS/runs. Default: the "
    "run that is best on dev.",
)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    help=f"How many labels to show; {SHOWN}, and with --json all, unless told.",
)
@click.option("--json", "form", flag_value="json", help="A JSON object for each image, in lines.")
@click.option("--csv", "form", flag_value="csv", help="CSV with the probability of each label.")
@click.option(
    "--allow-private-hosts", is_flag=True, help="Also fetch from hosts of a local network."
)
@one_line_errors
def predict(
    images: tuple[str, ...],
    results: Path,
    model: str | None,
    top: int | None,
    form: str | None,
    allow_private_hosts: bool,
) -> None:
    """Tell which emotion each image evokes, by a model that `bench run` trained.

    Images are treated just as those that the model learned from. One that can't be read is a line
    on standard error, and the exit status is 1 at the end.
    """
    if top and form == "csv":
        raise click.UsageError("--csv has the probability of every label; leave --top out")
    from bench._predictor import find_images, load_model
    from featurestore._model_file import SavedModelError
    from featurestore.fetch import WebSettings

    try:
        predictor = load_model(results, model)
    except SavedModelError as error:
        raise click.ClickException(str(error)) from error
    run = predictor.run
    on_dev = f", {100 * run.dev.accuracy:.1f} % on dev" if run.dev else ""
    click.echo(f"model: {run.model}, {run.variant}, seed {run.seed}{on_dev}", err=True)
    web = WebSettings(allow_private_hosts=allow_private_hosts)
    found = list(find_images(images))
    failed = 0
    write = _writers(predictor.label_names, top)[form or "text"]
    for answer in _with_bar(predictor.predict(found, web), len(found)):
        if answer.kind:
            failed += 1
            click.echo(f"{answer.image}: {answer.kind}: {answer.error}", err=True)
        else:
            write(answer)
    if not found:
        raise click.ClickException(f"{', '.join(images)}: no files in it")
    if failed:
        raise click.ClickException(f"{failed} of {len(found)} images could not be read")


def _with_bar(answers: Iterable["Answer"], total: int) -> Iterator["Answer"]:
    """Yield the answers; show a bar where they don't go to the same terminal."""
    from tqdm import tqdm

    hidden = sys.stdout.isatty() or not sys.stderr.isatty()
    yield from tqdm(answers, total=total, unit="img", delay=2, leave=False, disable=hidden)


def _writers(names: list[str], top: int | None) -> dict[str, Callable[["Answer"], None]]:
    """Return what writes an answer, by form."""
    table = csv.writer(sys.stdout, lineterminator="\n")
    begun = False

    def text(answer: "Answer") -> None:
        parts = [f"{n} {100 * p:.1f} %" for n, p in [*answer.probabilities.items()][: top or SHOWN]]
        click.echo(f"{answer.image}: {', '.join(parts)}")

    def as_json(answer: "Answer") -> None:
        shown = dict([*answer.probabilities.items()][:top])
        found = {"image": answer.image, "label": answer.label, "probabilities": shown}
        click.echo(json.dumps(found, ensure_ascii=False))

    def as_csv(answer: "Answer") -> None:
        nonlocal begun
        if not begun:
            table.writerow(["image", "label", *(f"p_{name}" for name in names)])
            begun = True
        values = [answer.probabilities.get(name, 0.0) for name in names]
        table.writerow([answer.image, answer.label, *values])

    return {"text": text, "json": as_json, "csv": as_csv}
