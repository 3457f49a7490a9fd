"""Options that several commands share."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

DEFAULT_STORE = Path("features.zarr")
DEFAULT_RESULTS = Path("results")
MOST_SEED = 2**32 - 1  # NumPy's and scikit-learn's
Location = str | Path  # of a store; a str is a URL


class _DiskPath(click.Path):
    """A path on the disk, as a Path; a URL would make a folder of its name."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if "://" in str(value):
            self.fail(f"{value}: give a path on the disk; only a store may be at a URL", param, ctx)
        return super().convert(value, param, ctx)


PATH = _DiskPath(path_type=Path)
FOLDER = _DiskPath(path_type=Path, file_okay=False)


class _StorePlace(click.ParamType[Any]):
    """A folder, as a Path, or a URL, as it is."""

    name = "path or url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if isinstance(value, Path) or "://" in value else Path(value)


PLACE = _StorePlace()
Decorator = Callable[[Any], Any]


def store_option(text: str) -> Decorator:
    """Return the option ``--store`` with this help."""
    return click.option("--store", type=PLACE, default=DEFAULT_STORE, show_default=True, help=text)


def given_store(store: Location) -> str:
    """Return the option for a store as a shell takes it; "" for the one that is taken anyway."""
    return "" if store == DEFAULT_STORE else f" --store {shlex.quote(str(store))}"


def results_option(text: str) -> Decorator:
    """Return the option ``--results`` with this help."""
    return click.option(
        "--results", type=PATH, default=DEFAULT_RESULTS, show_default=True, help=text
    )


def seed_option(text: str) -> Decorator:
    """Return the option ``--seed`` with this help."""
    seeds = click.IntRange(0, MOST_SEED)
    return click.option("--seed", type=seeds, default=0, show_default=True, help=text)


def group_option(text: str) -> Decorator:
    """Return the option ``--group`` with this help."""
    return click.option("--group", "groups", multiple=True, metavar="NAME=LABEL,...", help=text)
