"""How a command ends when something is wrong: one line, never a traceback."""

import functools
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


OUT_OF_TIME = 3  # the exit status when a time limit was reached


class BenchError(Exception):
    """A command can't go on; ``str(error)`` says what, where and what to do, in one line."""


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

        signal.signal(signal.SIGTERM, _interrupt)
        try:
            return command(*args, **kwargs)
        except (FeatureStoreError, BenchError) as error:
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt:
            click.echo("\nStopped. Give the same command again to go on.", err=True)
            raise SystemExit(130) from None
        except BrokenPipeError:  # whoever read our output has seen enough; click ends quietly
            raise
        except OSError as error:  # disk full, read-only, no permission
            where = f"{error.filename}: " if error.filename else ""
            raise click.ClickException(f"{where}{error.strerror or error}") from error

    return wrapped  # type: ignore[return-value]


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
