"""``bench extract``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench._errors import one_line_errors
from bench._options import FOLDER, PATH, Location, given_store, store_option

if TYPE_CHECKING:
    import featurestore as fs


@click.command(
    epilog="""\b
Examples:
  bench extract                                  the embedded synthetic sample
  bench extract photos/ --store photos.zarr      photos/<label>/*.jpg or photos/train/<label>/*.jpg
  bench extract fi_csvs/ --store fi.zarr         CSVs as You et al. distributed FI
  bench extract list.csv --labels calm,tense     a header with columns path and label
  bench extract photos/ --store thumb.zarr --embed-from thumbnail
  bench extract photos/ --store large.zarr --image-size 160
  bench extract photos/ --store s3://bucket/photos.zarr        credentials from the environment
\b
Downloads:
  bench extract fi_csvs/ --store fi.zarr --keep-originals fi_images/
  bench extract fi_csvs/ --store fi.zarr --retry-failed
  bench extract fi_csvs/ --store fi.zarr --retry-failed timeout,http_5xx
\b
Another backbone, beside the one that is there:
  bench extract fi_csvs/ --store fi.zarr --backbone densenet121 --keep-originals fi_images/
\b
On a Dask cluster, whose workers see the source and the store:
  bench extract photos/ --store /shared/photos.zarr --scheduler tcp://host:8786
  bench extract photos/ --store photos.zarr --scheduler local:4
""",
)
@click.argument("source", default="sample")
@store_option(
    "Where to put the store, a folder or s3://, gs:// or az://; go on with it if it was begun."
)
@click.option(
    "--backbone",
    default="mobilenet",
    show_default=True,
    help="mobilenet, densenet121, convnext_base, resnet50 or efficientnetv2_b0.",
)
@click.option(
    "--weights",
    type=PATH,
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
    "--mirror",
    is_flag=True,
    help="Average each embedding with its mirror image's: 0 to 1.6 points more accuracy on "
    "photographs, twice the time.",
)
@click.option(
    "--image-size",
    type=int,
    multiple=True,
    metavar="PX",
    help="Keep the images at this size, too, to fine-tune networks on; may be given several times. "
    "An image takes about 57 kB of disk at 160 px and 110 kB at 224 px, 2.4 times that while "
    "extracting.  [default: 32 alone, which is always kept]",
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
@click.option(
    "--min-side",
    type=click.IntRange(1),
    default=32,
    show_default=True,
    metavar="PX",
    help="Leave out images with fewer pixels on a side.",
)
@click.option(
    "--retry-failed",
    is_flag=False,
    flag_value="all",
    metavar="[KIND,...]",
    help="Try records of a finished store that failed again, and append those that succeed. "
    "Give SOURCE first.",
)
@click.option(
    "--keep-originals",
    type=FOLDER,
    metavar="DIR",
    help="Keep downloaded files here, and look here first.",
)
@click.option(
    "--threads",
    type=click.IntRange(1, 512),
    default=32,
    show_default=True,
    help="Downloads at a time.",
)
@click.option(
    "--per-host",
    type=click.IntRange(1),
    default=8,
    show_default=True,
    help="Downloads at a time from one host.",
)
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    metavar="N",
    help="Requests a second to one host.  [default: no limit]",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0.1),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="For one image, all attempts together.",
)
@click.option(
    "--tries",
    type=click.IntRange(1),
    default=4,
    show_default=True,
    help="Attempts at one image, where another may help.",
)
@click.option(
    "--max-bytes",
    type=click.IntRange(1),
    default=32 * 1024 * 1024,
    show_default=True,
    metavar="N",
    help="The largest file to download.",
)
@click.option("--user-agent", metavar="TEXT", help="What servers are told of who asks.")
@click.option(
    "--allow-private-hosts",
    is_flag=True,
    help="Download from loopback and private addresses, too.",
)
@click.option(
    "--allow-outside",
    is_flag=True,
    help="Read files outside of a CSV's own folder, too.",
)
@click.option(
    "--scheduler",
    metavar="local:N|tcp://HOST:PORT|tls://HOST:PORT",
    help="Let the workers of a Dask scheduler do the work, or N processes on this machine.",
)
@one_line_errors
def extract(
    source: str,
    store: Location,
    backbone: str,
    weights: Path | None,
    embed_size: int | None,
    embed_from: str,
    mirror: bool,
    image_size: tuple[int, ...],
    split: str,
    seed: int,
    keep: str,
    min_agree: int,
    labels: str | None,
    label_base: str | None,
    engine: str | None,
    min_side: int,
    retry_failed: str | None,
    keep_originals: Path | None,
    threads: int,
    per_host: int,
    rate: float | None,
    timeout: float,
    tries: int,
    max_bytes: int,
    user_agent: str | None,
    allow_private_hosts: bool,
    scheduler: str | None,
    allow_outside: bool,
) -> None:
    """Make a store of images, embeddings, labels and splits from SOURCE.

    SOURCE is "sample" (the default: 1,600 synthetic images that come with the program), a folder of
    class folders of images, with or without train, dev and test above them, a CSV file or a
    folder of CSVs with image paths or URLs, or what `bench import` takes.

    Killed at any moment, the same command goes on where it was. A finished store is left alone,
    unless it lacks the backbone or failed records are to be tried again.
    """
    import featurestore as fs

    options = fs.SourceOptions(
        labels=_names(labels),
        label_base=None if label_base is None else int(label_base),
        keep=fs.KeepRule(keep, min_agree),  # type: ignore[arg-type]  # checked by click
        allow_outside=allow_outside,
    )
    settings = fs.ExtractSettings(
        backbone=backbone,
        weights=weights,
        embed_size=embed_size,
        embed_from=embed_from,  # type: ignore[arg-type]  # checked by click
        mirror=mirror,
        image_sizes=image_size,
        split=split,
        seed=seed,
        engine=engine,  # type: ignore[arg-type]  # checked by click
        min_side=min_side,
    )
    web = fs.WebSettings(
        threads=threads,
        per_host=per_host,
        rate=rate,
        seconds=timeout,
        tries=tries,
        max_bytes=max_bytes,
        user_agent=user_agent or fs.WebSettings.user_agent,
        allow_private_hosts=allow_private_hosts,
    )
    made_from = fs.read_source(source, options)
    make_store(
        made_from,
        store,
        settings,
        retry_failed,
        web=web,
        originals=keep_originals,
        scheduler=scheduler,
    )


def make_store(
    source: "fs.Source",
    store: Location,
    settings: "fs.ExtractSettings",
    retry_failed: str | None,
    **more: Any,
) -> None:
    """Make a store, show how far that is and what came of it; ``more`` as ``extract`` takes it."""
    import featurestore as fs
    from bench._progress import extraction_progress
    from bench._show_store import lacking, show_store
    from featurestore._place import place_of

    place = place_of(store)
    before = place.read("zarr.json") if place.exists("zarr.json") else b""
    with extraction_progress() as progress:
        made = fs.extract(source, store, settings, progress, retry=_kinds(retry_failed), **more)
    if before == place.read("zarr.json"):
        click.echo(f"{store} is finished already; nothing was done.")
    click.echo(show_store(made))
    if lack := lacking(made):
        click.echo(f"\n{lack}")
    elif not str(store).startswith("memory://"):  # which ends with this process
        click.echo(f"\nNext: bench run --all{given_store(store)}")


def _kinds(retry_failed: str | None) -> tuple[str, ...]:
    from featurestore.errors import RETRYABLE_KINDS

    if retry_failed is None:
        return ()
    if retry_failed == "all":
        return RETRYABLE_KINDS
    return tuple(kind.strip() for kind in retry_failed.split(","))


def _names(labels: str | None) -> tuple[str, ...] | None:
    if labels is None:
        return None
    names = tuple(name.strip() for name in labels.split(","))
    if len(set(names)) != len(names) or not all(names) or len(names) < 2:
        raise click.BadParameter("give at least two different names: a,b,c", param_hint="--labels")
    return names
