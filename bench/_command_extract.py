"""``bench extract``."""

from pathlib import Path

import click

from bench._errors import one_line_errors

DEFAULT_STORE = Path("features.zarr")


@click.command(
    epilog="""\b
Examples:
  bench extract                                  the embedded synthetic sample
  bench extract photos/ --store photos.zarr      photos/<label>/*.jpg or photos/train/<label>/*.jpg
  bench extract fi_csvs/ --store fi.zarr         CSVs as You et al. distributed FI
  bench extract list.csv --labels calm,tense     a header with columns path and label
  bench extract photos/ --store thumb.zarr --embed-from thumbnail
""",
)
@click.argument("source", default="sample")
@click.option(
    "--store",
    type=click.Path(path_type=Path),
    default=DEFAULT_STORE,
    show_default=True,
    help="Where to put the store; go on with it if it was begun.",
)
@click.option(
    "--backbone",
    default="mobilenet",
    show_default=True,
    help="mobilenet, densenet121, convnext_base, resnet50 or efficientnetv2_b0.",
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    help="Weights file of the backbone without its top (.weights.h5 or Keras' .h5).",
)
@click.option(
    "--embed-size",
    type=int,
    metavar="PX",
    help="Side of the images that the backbone sees.  [default: the backbone's own]",
)
@click.option(
    "--embed-from",
    type=click.Choice(["image", "thumbnail"]),
    default="image",
    show_default=True,
    help="thumbnail embeds the 32 x 32 tensor, to show what that costs.",
)
@click.option(
    "--split",
    default="80/10/10",
    show_default=True,
    metavar="TRAIN/DEV/TEST",
    help="Shares, label by label; splits that the source gives are kept.",
)
@click.option("--seed", default=0, show_default=True, help="Of the rows' order and the splits.")
@click.option(
    "--keep",
    type=click.Choice(["majority", "all"]),
    default="majority",
    show_default=True,
    help="Which voted images to keep: agree > disagree, or all.",
)
@click.option(
    "--min-agree",
    default=0,
    show_default=True,
    metavar="N",
    help="Keep only with N agreeing votes.",
)
@click.option(
    "--labels", metavar="A,B,...", help="Label names of a CSV.  [default: Mikels' eight emotions]"
)
@click.option(
    "--label-base",
    type=click.Choice(["0", "1"]),
    help="What integer labels count from, where the column can't tell.",
)
@click.option(
    "--engine",
    type=click.Choice(["litert", "tensorflow"]),
    help="What computes embeddings.  [default: tensorflow with a GPU, else litert]",
)
@one_line_errors
def extract(
    source: str,
    store: Path,
    backbone: str,
    weights: Path | None,
    embed_size: int | None,
    embed_from: str,
    split: str,
    seed: int,
    keep: str,
    min_agree: int,
    labels: str | None,
    label_base: str | None,
    engine: str | None,
) -> None:
    """Make a store of images, embeddings, labels and splits from SOURCE.

    SOURCE is "sample" (the default: 1,600 synthetic images that come with the program), a folder of
    class folders of images, with or without train, dev and test above them, or a CSV file or a
    folder of CSVs with image paths.

    Killed at any moment, the same command goes on where it was. A finished store is left alone.
    """
    import featurestore as fs
    from bench._progress import extraction_progress
    from bench._show import show_store

    options = fs.SourceOptions(
        labels=_names(labels),
        label_base=None if label_base is None else int(label_base),
        keep=fs.KeepRule(keep, min_agree),  # type: ignore[arg-type]  # checked by click
    )
    settings = fs.ExtractSettings(
        backbone=backbone,
        weights=weights,
        embed_size=embed_size,
        embed_from=embed_from,  # type: ignore[arg-type]  # checked by click
        split=split,
        seed=seed,
        engine=engine,  # type: ignore[arg-type]  # checked by click
    )
    already = (store / "zarr.json").exists()
    with extraction_progress() as progress:
        made = fs.extract(fs.read_source(source, options), store, settings, progress)
    if already:
        click.echo(f"{store} is finished already; nothing was done.")
    click.echo(show_store(made))
    click.echo(f"\nNext: bench run --all{'' if store == DEFAULT_STORE else f' --store {store}'}")


def _names(labels: str | None) -> tuple[str, ...] | None:
    if labels is None:
        return None
    names = tuple(name.strip() for name in labels.split(","))
    if len(set(names)) != len(names) or not all(names) or len(names) < 2:
        raise click.BadParameter("give at least two different names: a,b,c", param_hint="--labels")
    return names
