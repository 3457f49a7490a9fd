"""How a command ends when something is wrong: one line, never a traceback."""

import atexit
import functools
import logging
import os
import signal
import threading
import warnings
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


OUT_OF_TIME = 3  # the exit status when a time limit was reached


class BenchError(Exception):
    """A command can't go on; ``str(error)`` says what, where and what to do, in one line."""


class StoppedError(KeyboardInterrupt):
    """Ctrl-C or SIGTERM.

    A kind of its own, because after a plain KeyboardInterrupt that passed through ``exec`` Python
    ends by the signal, whatever status it was told to end with.
    """


_asked_to_stop = threading.Event()
_WITHOUT = "bench.without"  # in click's context: an option that the same command goes on without


def failure_text(error: Exception) -> str:
    """Return in one line why a model could not be trained: the error's kind and what it says."""
    text = " ".join(str(error).split()) or "no reason given"
    return f"{type(error).__name__}: {text}"[:300]


def one_line_errors(command: F) -> F:
    """Decorate a command: expected errors end it with one line and exit status 1.

    Ctrl-C and SIGTERM end it with a line that says how to go on, and status 130.
    """

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        from featurestore.errors import FeatureStoreError

        _listen()
        try:
            return command(*args, **kwargs)
        except KeyboardInterrupt:
            _end_stopped()
        except Exception as error:
            if _asked_to_stop.is_set():
                _end_stopped()
            atexit.register(_hush)
            if isinstance(error, FeatureStoreError | BenchError):
                raise click.ClickException(str(error)) from error
            # Whoever reads our output may have seen enough; then click ends quietly.
            if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
                where = f"{error.filename}: " if error.filename else ""  # disk full, read-only
                raise click.ClickException(f"{where}{error.strerror or error}") from error
            raise

    return wrapped  # type: ignore[return-value]


def goes_on_without(option: str) -> None:
    """Let a stop of the running command say that it goes on if it is given without this option."""
    click.get_current_context().meta[_WITHOUT] = option


def raise_if_stopped() -> None:
    """Stop after all if that was asked for: to be called where any error is caught.

    An interrupt that strikes within a library may come out of it as another error.

    Raises
    ------
    StoppedError
    """
    if _asked_to_stop.is_set():
        raise StoppedError


def _listen() -> None:
    """Take SIGINT and SIGTERM for being asked to stop."""
    _asked_to_stop.clear()
    signal.signal(signal.SIGTERM, _interrupt)
    # What a shell starts in the background has SIGINT ignored, and keeps it so.
    if signal.getsignal(signal.SIGINT) in (signal.default_int_handler, _end_at_once):
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    _asked_to_stop.set()
    raise StoppedError


def _end_at_once(number: int, frame: FrameType | None) -> None:
    os._exit(130)


def _end_stopped() -> NoReturn:
    # Whoever asks again wants it to end now; there is nothing to keep.
    for sent in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(sent) is _interrupt:
            signal.signal(sent, _end_at_once)
    atexit.register(_hush)
    option = click.get_current_context().meta.get(_WITHOUT)
    without = f" without {option}" if option else ""
    click.echo(f"\nStopped. Give the same command again{without} to go on.", err=True)
    raise SystemExit(130) from None


def _hush() -> None:
    """Say nothing of what a library, such as zarr in its threads, had under way: it is given up."""
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
