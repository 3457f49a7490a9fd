"""Faults of processes: killed, stopped, started twice, with a clock that jumps."""

import math
import os
import re
import signal
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from _faults_world import HINT, Ended, Row, World, left_behind, send

YEAR = 365 * 24 * 3600
# Put in front of everything that Python asks for the time.
CLOCK = """
import datetime, os, time
shift = float(os.environ["SHIFTED_BY"])
now, now_ns = time.time, time.time_ns
time.time = lambda: now() + shift
time.time_ns = lambda: now_ns() + int(shift * 1e9)
"""


def kills(world: World, count: int) -> Row:
    """Kill extractions and runs at random moments until they are done, over and over."""
    row = Row("`kill -9` of the whole process group at a random moment")
    whole = [world.run(part).seconds for part in world.parts(world.new(), world.new())]
    passes = 0
    while row.times < count:
        store, results = world.new("store"), world.new("results")
        for i, part in enumerate(world.parts(store, results)):
            done, alone = _until_done(world, row, part, whole[i], count - row.times)
            row.times += done
            whole[i] = min(whole[i], alone)  # a machine may become less busy
        passes += 1
        row.check(not (why := world.store_differs(store)), f"store: {why}")
        row.check(not (why := world.results_differ(results)), f"results: {why}")
        verified = world.run(["verify", str(store)])
        row.check(verified.status == 0, f"verify: {verified.line}")
    row.ended = (
        f"{passes} stores and results folders of the same bytes as undisturbed ones; all verified"
    )
    return row


def _until_done(
    world: World, row: Row, part: Sequence[str], seconds: float, most: int
) -> tuple[int, float]:
    """Return how often it was killed, and the seconds that it took where it never was."""
    done = 0
    while done < most:
        ended = world.run(part, world.random.uniform(0.2, 1.1 * seconds))
        if ended.status == 0:
            return done, math.inf if done else ended.seconds
        if ended.status != -signal.SIGKILL:
            row.check(False, f"{part[0]} ended with {ended.status}: {ended.line}")
            return done, math.inf
        done += 1
    ended = world.run(part)
    row.check(ended.status == 0, f"{part[0]} ended with {ended.status}: {ended.line}")
    return done, math.inf


def stops(world: World) -> list[Row]:
    """Send SIGINT and SIGTERM to all that takes long."""
    rows = []
    for sent in (signal.SIGINT, signal.SIGTERM):
        for name, stop in (("extract", _stop_extract), ("run", _stop_run), ("tune", _stop_tune)):
            row = Row(f"{sent.name} to `bench {name}`")
            stop(world, row, sent)
            row.ended = "status 130, says how to go on; goes on to the same"
            rows.append(row)
        row = Row(f"{sent.name} to `bench explore`")
        _stop_explore(world, row, sent)
        rows.append(row)
    return rows


def _stop(
    world: World, row: Row, command: list[str], until: Callable[[], bool], sent: signal.Signals
) -> Ended:
    """Stop a command as soon as it has something to lose."""
    start = time.monotonic()
    with world.started(command) as process:
        while process.poll() is None and not until():
            time.sleep(0.02)
        send(process, sent)
        out, err = process.communicate()
        row.check(not left_behind(process), "a process was left behind")
    ended = Ended(process.returncode, out, err, time.monotonic() - start)
    row.times += 1
    row.check(ended.status == 130, f"status {ended.status}: {ended.line}")
    row.check(HINT in err, f"no hint at how to go on: {ended.line}")
    row.check("Traceback" not in err, f"a traceback: {ended.line}")
    return ended


def _stop_extract(world: World, row: Row, sent: signal.Signals) -> None:
    store = world.new("store")
    command = world.extract(store, "--image-size", "160")  # takes longer
    _stop(world, row, command, lambda: any(store.rglob("*.npz")), sent)
    row.check(world.run(command).status == 0, "it doesn't go on")
    undisturbed = world.new("store")
    world.run(world.extract(undisturbed, "--image-size", "160"))
    there = _bytes(undisturbed)
    row.check(there == _bytes(store), "ends with other bytes")


def _bytes(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def _stop_run(world: World, row: Row, sent: signal.Signals) -> None:
    results = world.new("results")
    _, quick, network = world.parts(world.store, results)
    _stop(world, row, quick, lambda: any(results.rglob("model.npz")), sent)
    row.check(world.run(quick).status == 0, "it doesn't go on")
    _stop(world, row, network, lambda: any(results.rglob("checkpoint.npz")), sent)
    row.check(world.run(network).status == 0, "it doesn't go on")
    row.check(not (why := world.results_differ(results)), why)


def _stop_tune(world: World, row: Row, sent: signal.Signals) -> None:
    def command(results: Path) -> list[str]:
        given = ("--trials", "4", "--max-epochs", "30")
        return ["tune", "mlp", *given, "--store", str(world.store), "--results", str(results)]

    stopped, whole = world.new("results"), world.new("results")
    journal = stopped / "tuning" / "mlp.journal"
    _stop(world, row, command(stopped), lambda: _ended_trials(journal) >= 1, sent)
    for results in (stopped, whole):
        row.check(world.run(command(results)).status == 0, "it doesn't go on")
    row.check(_trials(stopped) == _trials(whole), "the trials are others")


def _ended_trials(journal: Path) -> int:
    return len(re.findall(rb'"state": ?1\b', journal.read_bytes())) if journal.is_file() else 0


def _trials(results: Path) -> list[list[str]]:
    """Return the trials of a search but for how long they took."""
    import csv

    with (results / "tuning" / "mlp.csv").open(newline="") as file:
        head, *lines = csv.reader(file)
    timed = {i for i, name in enumerate(head) if name == "seconds"}
    return [[cell for i, cell in enumerate(line) if i not in timed] for line in lines]


def _stop_explore(world: World, row: Row, sent: signal.Signals) -> None:
    command = ["explore", "--store", str(world.store), "--port", "0", "--no-browser"]
    with world.started(command) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[1]
        _wait_for(address)
        start = time.monotonic()
        send(process, sent)
        _, err = process.communicate()
        row.check(not left_behind(process), "a process was left behind")
    row.times += 1
    row.check(process.returncode in (0, 130), f"status {process.returncode}")
    row.check("Traceback" not in err, "a traceback")
    row.ended = f"status {process.returncode} after {time.monotonic() - start:.1f} s"


def _wait_for(address: str) -> None:
    for _ in range(300):
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.1)


def two_at_once(world: World) -> Row:
    """Start a second extraction into a store while the first is at work, again and again."""
    row = Row("two extractions into one store at once")
    store, alone = world.new("store"), world.new("store")
    longer = ("--embed-size", "224", "--mirror")
    waits = []
    with world.started(world.extract(store, *longer)) as first:
        while first.poll() is None and not (store / ".staging" / "settings.json").exists():
            time.sleep(0.02)
        while True:
            second = world.run(world.extract(store, *longer))
            if first.poll() is not None:
                break  # it may have come after the first
            row.times += 1
            waits.append(second.seconds)
            row.check(second.is_one_line, f"the second: {second.line}")
        first.communicate()
        row.check(first.returncode == 0, "the first was harmed")
    world.run(world.extract(alone, *longer))
    row.check(_bytes(store) == _bytes(alone), "the store has other bytes")
    row.check(waits, "the first ended before there was a second")
    idle = world.run(["--version"]).seconds
    row.ended = (
        f"the second refused in one line after {max(waits, default=0):.1f} s at most "
        f"(`bench --version` takes {idle:.1f} s); the first unharmed"
    )
    return row


def clocks(world: World) -> list[Row]:
    """Let the clock jump between a stop and going on."""
    place = world.new("clock")
    place.mkdir()
    (place / "sitecustomize.py").write_text(CLOCK)
    rows = []
    for shift, word in ((-YEAR, "back"), (YEAR, "forward")):
        row = Row(f"the clock jumps a year {word} between a kill and going on", 1)
        store, results = world.new("store"), world.new("results")
        path = os.pathsep.join([str(place), os.environ.get("PYTHONPATH", "")])
        shifted = {"PYTHONPATH": path, "SHIFTED_BY": str(shift)}
        for part in world.parts(store, results):
            with world.started(part) as process:
                while process.poll() is None and not any(_work(store, results)):
                    time.sleep(0.02)
                send(process, signal.SIGKILL)
            for kept in (*store.rglob("*"), *results.rglob("*")):
                os.utime(kept, (time.time() - shift,) * 2)  # as if it were from before the jump
            ended = world.run(part, environment=shifted)
            row.check(ended.status == 0, ended.line)
        row.check(not (why := world.store_differs(store)), why)
        row.check(not (why := world.results_differ(results)), why)
        row.ended = "ends with the same bytes"
        rows.append(row)
    return rows


def _work(store: Path, results: Path) -> list[Path]:
    return [
        *store.rglob(".staging/segments/*/*.npz"),
        *results.rglob("checkpoint.npz"),
        *results.rglob("runs/*/model.npz"),
    ]
