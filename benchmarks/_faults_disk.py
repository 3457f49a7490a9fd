"""Faults of disks and files: full, read-only, damaged, from a newer program."""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from _faults_world import MODELS, Row, World

SMALLEST = 64 * 1024  # bytes of a disk
LESS = (0.01, 0.1, 0.25, 0.5, 0.75)  # of the bytes that are needed


def disk_full(world: World) -> list[Row]:
    """Let the disk be full, at several moments, and then make room."""
    rows = []
    for name, needed in (("extract", _most_bytes(world)), ("run", _quick_bytes(world))):
        row = Row(f"disk full during `bench {name}`")
        for share in LESS:
            with _disk(world, max(int(share * needed), SMALLEST)) as (disk, grow):
                store = disk / "store" if name == "extract" else world.store
                results = disk / "results"
                command = world.extract(store) if name == "extract" else world.fit(store, results)
                ended = world.run(command)
                if ended.status == 0:
                    continue  # there was room enough
                row.times += 1
                row.check(ended.is_one_line, f"status {ended.status}: {ended.line}")
                grow()
                again = world.run(command)
                row.check(again.status == 0, f"doesn't go on: {again.line}")
                if name == "extract":
                    row.check(not (why := world.store_differs(store)), why)
                else:
                    row.check(not (why := world.results_differ(results, MODELS)), why)
        row.ended = "status 1, one line; with room again it goes on to the same bytes"
        rows.append(row)
    return rows


def read_only(world: World) -> list[Row]:
    """Let a disk that may be read alone hold what is to be written, or read."""
    photo = str(next(world.photos.rglob("*.jpg")))
    rows = []
    with _disk(world, 64 * 2**20) as (disk, _):
        shutil.copytree(world.store, disk / "store")
        shutil.copytree(world.results, disk / "results")
        _remount(disk, "ro")
        tried = {
            "`bench extract` into a read-only folder": (world.extract(disk / "new"), False),
            "`bench run` into a read-only folder": (world.fit(world.store, disk / "new"), False),
            "`bench run` that would change read-only results": (
                [*world.fit(world.store, disk / "results"), "--force"],
                False,
            ),
            "`bench verify` of a read-only store": (["verify", str(disk / "store")], True),
            "`bench predict` with read-only results": (
                ["predict", photo, "--results", str(disk / "results"), "--model", "pca-svm"],
                True,
            ),
        }
        for what, (command, works) in tried.items():
            ended = world.run(command)
            row = Row(what, 1, ended="works" if works else "status 1, one line")
            well = ended.status == 0 if works else ended.is_one_line
            row.check(well, f"status {ended.status}: {ended.line}")
            rows.append(row)
        _remount(disk, "rw")
    return rows


def damaged(world: World) -> list[Row]:
    """Flip a byte, cut short and take away each file of a store."""
    from featurestore import verify
    from featurestore.errors import StoreError

    store = world.copy_store()
    files = sorted(p for p in store.rglob("*") if p.is_file())
    rows = {
        "flipped": Row("a random bit flipped, in each file of a store in turn"),
        "cut": Row("cut short at a random byte, each file in turn"),
        "gone": Row("missing, each file in turn"),
    }
    for path in files:
        whole = path.read_bytes()
        at = world.random.randrange(len(whole)) if whole else 0
        flipped = bytearray(whole)
        flipped[at] ^= 1 << world.random.randrange(8)
        for how, content in (("flipped", bytes(flipped)), ("cut", whole[:at]), ("gone", None)):
            path.unlink() if content is None else path.write_bytes(content)
            try:
                found = bool(verify(store))
            except StoreError:
                found = True
            rows[how].times += 1
            rows[how].check(found, f"{path.relative_to(store)} at byte {at} wasn't noticed")
            path.write_bytes(whole)
    for row in rows.values():
        row.ended = "each found by `bench verify`"
    return list(rows.values())


def newer(world: World) -> list[Row]:
    """Give every command a store, and results, of a version to come."""
    from bench._records import FORMAT_VERSION as RESULTS
    from featurestore._layout import FORMAT_VERSION as STORE

    store, results = world.copy_store(), world.new("results")
    shutil.copytree(world.results, results)
    _edit(store / "zarr.json", "attributes", STORE + 1)
    _edit(results / "results.json", "", RESULTS + 1)
    photo = str(next(world.photos.rglob("*.jpg")))
    of_store = {
        "run": world.fit(store, world.new("results")),
        "extract": world.extract(store),
        "inspect": ["inspect", str(store)],
        "verify": ["verify", str(store)],
        "export": ["export", str(store), "--to", "npz", "--out", str(world.new("export"))],
        "explore": ["explore", "--store", str(store), "--port", "0", "--no-browser"],
    }
    of_results = {
        "run": world.fit(world.store, results),
        "report": ["report", str(results), "--store", str(world.store)],
        "compare": ["compare", str(results), str(world.results)],
        "predict": ["predict", photo, "--results", str(results)],
    }
    rows = []
    for what, version, commands in (
        ("a store", STORE, of_store),
        ("results", RESULTS, of_results),
    ):
        row = Row(f"{what} of a newer version, by {', '.join(commands)}")
        for name, command in commands.items():
            ended = world.run(command)
            row.times += 1
            row.check(ended.is_one_line, f"{name}: status {ended.status}: {ended.line}")
            named = str(version) in ended.line and str(version + 1) in ended.line
            row.check(named, f"{name} doesn't name both versions: {ended.line}")
        row.ended = "refused in one line that names both versions"
        rows.append(row)
    return rows


@contextlib.contextmanager
def _disk(world: World, size: int) -> Iterator[tuple[Path, Callable[[], None]]]:
    """Mount a small disk of its own in memory; yields it and what makes it larger."""
    disk = world.new("disk")
    disk.mkdir()
    _call("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk))
    try:
        yield disk, lambda: _remount(disk, "size=64m")
    finally:
        _call("umount", "--lazy", str(disk))


def _remount(disk: Path, how: str) -> None:
    _call("mount", "-o", f"remount,{how}", str(disk))


def can_mount() -> bool:
    """Return whether this user may mount disks."""
    return os.name == "posix" and os.geteuid() == 0 and shutil.which("mount") is not None


def _call(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _most_bytes(world: World) -> int:
    """Return what an extraction takes at its most: the staged results beside the store."""
    return 2 * _size(world.store)


def _quick_bytes(world: World) -> int:
    """Return what the results of the quick models take."""
    return _size(world.results) - sum(map(_size, world.results.glob("runs/resnet*")))


def _size(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def _edit(path: Path, inner: str, version: int) -> None:
    content = json.loads(path.read_bytes())
    (content[inner] if inner else content)["format_version"] = version
    path.write_text(json.dumps(content))
