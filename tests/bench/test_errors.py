"""How commands end when they are stopped, wherever that strikes."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from bench._errors import StoppedError, one_line_errors, raise_if_stopped


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Give pytest its own handlers back."""
    before = {sent: signal.getsignal(sent) for sent in (signal.SIGINT, signal.SIGTERM)}
    yield
    for sent, handler in before.items():
        signal.signal(sent, handler)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("becomes", [None, RuntimeError, OSError, click.UsageError])
def test_a_stop_that_a_library_makes_another_error_of_is_a_stop(
    sent: signal.Signals, becomes: type[Exception] | None
) -> None:
    @click.command()
    @one_line_errors
    def command() -> None:
        try:
            signal.raise_signal(sent)
        except KeyboardInterrupt:
            if becomes is None:
                raise
            raise becomes("within a library") from None

    result = CliRunner().invoke(command)
    assert result.exit_code == 130
    assert result.stderr == "\nStopped. Give the same command again to go on.\n"


def test_a_stop_does_not_outlast_its_command() -> None:
    @click.command()
    @click.option("--stop", is_flag=True)
    @one_line_errors
    def command(stop: bool) -> None:
        if stop:
            signal.raise_signal(signal.SIGINT)
        raise OSError("no room")

    assert CliRunner().invoke(command, ["--stop"]).exit_code == 130
    with pytest.raises(StoppedError):
        raise_if_stopped()
    result = CliRunner().invoke(command)
    assert (result.exit_code, result.stderr) == (1, "Error: no room\n")
    raise_if_stopped()


WITHIN_EXEC = """
import signal, click
from bench._errors import one_line_errors

@click.command()
@one_line_errors
def command():
    exec("signal.raise_signal(signal.SIGINT)")
    print("goes on")

command()
"""


def test_a_stop_within_code_made_at_run_time_ends_with_its_status(tmp_path: Path) -> None:
    (tmp_path / "stopped.py").write_text(WITHIN_EXEC)
    command = [sys.executable, "-m", "stopped"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert (run.returncode, run.stdout) == (130, "")
    assert run.stderr.endswith("Stopped. Give the same command again to go on.\n")


def test_a_stop_while_the_program_is_loaded_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt")
    command = [sys.executable, "-m", "bench", "inspect"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert (run.returncode, run.stdout, run.stderr) == (130, "", "")


WITHIN_ZARR = """
import asyncio, os, signal, threading, click, zarr
from bench._errors import one_line_errors
from zarr.storage import MemoryStore

class SlowStore(MemoryStore):
    async def set(self, key, value, byte_range=None):
        await asyncio.sleep(60)

@click.command()
@one_line_errors
def command():
    command.left = asyncio.sleep(1)  # as when a stop strikes before zarr hands it on
    threading.Timer(0.5, os.kill, [os.getpid(), signal.SIGINT]).start()
    zarr.create_group(SlowStore())

command()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a process can't send itself Ctrl-C there")
def test_what_zarr_had_under_way_is_not_spoken_of() -> None:
    command = [sys.executable, "-c", WITHIN_ZARR]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 130
    assert run.stderr == "\nStopped. Give the same command again to go on.\n"


ASKED_TWICE = """
import atexit, os, signal, time, click
from bench._errors import one_line_errors

@click.command()
@one_line_errors
def command():
    os.kill(os.getpid(), signal.SIGINT)

@atexit.register
def end_slowly():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)

command()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a process can't send itself Ctrl-C there")
def test_who_asks_twice_need_not_wait() -> None:
    run = subprocess.run([sys.executable, "-c", ASKED_TWICE], capture_output=True, text=True)
    assert run.returncode == 130
    assert run.stderr == "\nStopped. Give the same command again to go on.\n"


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is started with signals ignored there")
def test_what_was_started_with_the_signal_ignored_goes_on() -> None:
    code = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n{WITHIN_EXEC}"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, "goes on\n")
