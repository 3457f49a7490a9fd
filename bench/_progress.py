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


class _Log:
    """A line each minute, with the time that is left.

    Parameters
    ----------
    name : str
    total, done : int
        Steps in all, and those that were done before.
    """

    def __init__(self, name: str, total: int = 0, done: int = 0) -> None:
        self.name, self.total, self.done = name, total, done
        self._spoken = time.monotonic()
        self._first: tuple[int, float] | None = None

    def tell(self, done: int, text: str) -> None:
        """Note how many steps are done; say so if it is time."""
        now, self.done = time.monotonic(), done
        if self._first is None:  # what went before it, such as compiling, tells nothing
            self._first = done, now
        if now - self._spoken < LINE_SECONDS:
            return
        self._spoken = now
        before, begun = self._first
        left = (now - begun) * (self.total - done) / max(done - before, 1)
        shown = f"about {left / 60:.0f} min left" if done > before else "just begun"
        click.echo(f"{self.name}: {text}; {shown}", err=True)


@contextmanager
def extraction_progress() -> Iterator[Progress]:
    """Yield a Progress that shows how far it is, with failures and the time left.

    On a terminal that is a bar; elsewhere, as in a log file, a line each minute.
    """
    bars: list[tqdm[Any]] = []
    logs: list[_Log] = []
    failed: Counter[str] = Counter()
    counts = ""
    terminal = sys.stderr.isatty()

    def begin(total: int, done: int) -> None:
        logs.append(_Log("extracting", total, done))
        if done:
            click.echo(f"going on: {done:,} of {total:,} records were done before", err=True)
        bars.append(
            tqdm(
                total=total,
                initial=done,
                unit="img",
                desc="extracting",
                smoothing=0.1,
                disable=not terminal,
            )
        )

    def step(kind: str) -> None:
        nonlocal counts
        if kind:
            failed[kind] += 1
            kinds = ", ".join(f"{name} {count}" for name, count in failed.most_common(4))
            counts = f"failed {failed.total()} ({kinds})"
            bars[-1].set_postfix_str(counts, refresh=False)
        bars[-1].update()
        log = logs[-1]
        if not terminal:
            text = f"{log.done + 1:,} of {log.total:,} records, {counts}"
            log.tell(log.done + 1, text.removesuffix(", "))

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
    log = _Log(name)

    def step(done: int, total: int, text: str) -> None:
        if not bars:
            bars.append(tqdm(total=total, desc=name, delay=2, leave=False, disable=not terminal))
        bars[0].total = total
        bars[0].set_postfix_str(text, refresh=False)
        bars[0].update(done - bars[0].n)
        log.total = total
        if not terminal:
            log.tell(done, text)
        if time.monotonic() >= deadline and done < total:
            raise TimeIsUpError

    try:
        yield step
    finally:
        for bar in bars:
            bar.close()
