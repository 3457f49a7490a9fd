"""``bench explore``: how it starts and how it ends."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from featurestore import FeatureStore

Bench = Callable[..., Result]


def assert_one_line(result: Result) -> str:
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("Error: ")
    return result.stderr


def test_help_has_examples_and_imports_nothing_heavy() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "bench", "explore", "--help"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "bench explore --store fi.zarr" in run.stdout.partition("Examples:")[2]
    loaded = {line.rpartition("|")[2].strip() for line in run.stderr.splitlines()}
    assert "click" in loaded
    heavy = {"starlette", "uvicorn", "anyio", "numpy", "PIL", "zarr", "featurestore", "pydantic"}
    assert not loaded & heavy


def test_a_port_that_is_taken_is_one_line(bench: Bench, album_store: FeatureStore) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        found = bench("explore", "--store", album_store.path, "--port", port, "--no-browser")
    assert f"--port {port}: is taken" in assert_one_line(found)


def test_what_is_not_there_is_one_line(
    bench: Bench, sample_store: FeatureStore, album_results: Path
) -> None:
    options = ("--port", 0, "--no-browser")
    assert "there is no store here" in assert_one_line(bench("explore", *options))
    where = ("--store", sample_store.path, *options)
    none = bench("explore", *where, "--results", "nowhere")
    assert "nowhere: holds no results" in assert_one_line(none)
    other = bench("explore", *where, "--results", album_results)
    assert "holds results on another store" in assert_one_line(other)
    assert bench("explore", "--port", 70000).exit_code == 2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are not sent like this there")
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_opens_the_page_and_ends_with_a_line(
    album_store: FeatureStore, tmp_path: Path, ending: signal.Signals
) -> None:
    browser = tmp_path / "browser.sh"  # what the standard library starts
    browser.write_text(
        f'#!/bin/sh\necho "$1" > {tmp_path}/opened.partial\n'
        f"mv {tmp_path}/opened.partial {tmp_path}/opened\n"
    )
    browser.chmod(0o755)
    store = str(album_store.path)
    # Whoever starts the tests in the background may have them ignore Ctrl-C.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); import bench.cli"
    )
    command = [sys.executable, "-c", f"{code}; bench.cli.main()", "explore", "--store", store]
    command += ["--port", "0"]
    environment = os.environ | {"BROWSER": str(browser)}
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stdout is not None
        try:
            line = run.stdout.readline()
            assert line.startswith("Open http://127.0.0.1:")
            address = line.split()[1]
            with urllib.request.urlopen(address, timeout=60) as page:
                assert b"bench explore" in page.read()
            while not (tmp_path / "opened").exists():
                assert run.poll() is None
                time.sleep(0.01)
            assert (tmp_path / "opened").read_text().strip() == address
            run.send_signal(ending)
            told, errors = run.communicate(timeout=60)
        finally:
            run.kill()
    assert run.returncode == 0
    assert told == "\nStopped.\n"
    assert errors.startswith("Without predictions: results: holds no results")
    assert errors.count("\n") == 1
