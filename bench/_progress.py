"""Progress bars."""

import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from tqdm import tqdm

from featurestore import Progress

LINE_SECONDS = 60


class TimeIsUpError(Exception):
    """The time was used up while a model was trained."""


@contextmanager
def extraction_progress() -> Iterator[Progress]:
    """Yield a Progress that shows a bar with images a second, time left and failures."""
    bars: list[tqdm[Any]] = []
    failed: Counter[str] = Counter()

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
        if kind:
            failed[kind] += 1
            counts = ", ".join(f"{name} {count}" for name, count in failed.most_common(4))
            bars[-1].set_postfix_str(f"failed {failed.total()} ({counts})", refresh=False)
        bars[-1].update()

    def stage(line: str) -> None:
        for bar in bars:
            bar.close()
        click.echo(f"{line} ...", err=True)

    try:
        yield Progress(stage, begin, step)
    finally:
        for bar in bars:
            bar.close()


@contextmanager
def fit_progress(
    name: str, deadline: float = math.inf
) -> Iterator[Callable[[int, int, str], None]]:
    """Yield a callback that shows how far a fit is, if that takes more than a few seconds.

    On a terminal that is a bar; elsewhere, as in a log file, a line each minute. The callback takes
    (steps done, steps at most, what is going on), and raises a TimeIsUpError if work is left at the
    deadline, a time of ``time.monotonic``.
    """
    terminal = sys.stderr.isatty()
    bars: list[tqdm[Any]] = []
    begun = spoken = time.monotonic()

    def step(done: int, total: int, text: str) -> None:
        nonlocal spoken
        if not bars:
            bars.append(tqdm(total=total, desc=name, delay=2, leave=False, disable=not terminal))
        bars[0].total = total
        bars[0].set_postfix_str(text, refresh=False)
        bars[0].update(done - bars[0].n)
        now = time.monotonic()
        if not terminal and now - spoken >= LINE_SECONDS:
            spoken = now
            left = (now - begun) * (total - done) / max(done, 1)
            shown = f"about {left / 60:.0f} min left" if done else "just begun"
            click.echo(f"{name}: {text}; {shown}", err=True)
        if now >= deadline and done < total:
            raise TimeIsUpError

    try:
        yield step
    finally:
        for bar in bars:
            bar.close()
