"""Progress bars."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from tqdm import tqdm

from featurestore import Progress


@contextmanager
def extraction_progress() -> Iterator[Progress]:
    """Yield a Progress that shows a bar with images a second, time left and failures."""
    bars: list[tqdm[Any]] = []
    failed = 0

    def begin(total: int, done: int) -> None:
        if done:
            click.echo(f"going on: {done:,} of {total:,} records were done before", err=True)
        bars.append(
            tqdm(
                total=total,
                initial=done,
                unit="img",
                desc="extracting",
                smoothing=0.1,
                disable=not sys.stderr.isatty(),
            )
        )

    def step(kind: str) -> None:
        nonlocal failed
        (bar,) = bars
        if kind:
            failed += 1
            bar.set_postfix(failed=failed, refresh=False)
        bar.update()

    def stage(line: str) -> None:
        for bar in bars:
            bar.close()
        click.echo(f"{line} ...", err=True)

    try:
        yield Progress(stage, begin, step)
    finally:
        for bar in bars:
            bar.close()
