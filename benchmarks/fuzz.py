"""Feed everything that reads what others wrote with mutated bytes, guided by coverage.

    pip install atheris
    python benchmarks/fuzz.py                            all targets, 200 seconds each
    python benchmarks/fuzz.py image tar --seconds 60
    python benchmarks/fuzz.py --json fuzz.json           what docs/reliability.md is made from

A finding is an exception that isn't documented, a crash of the process, an input that takes more
than 10 seconds, or a gibibyte of memory more than the process began with. Inputs that led to one
are kept in the folder of findings, each with its traceback; give such a file with --again to run it
once more.
"""

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FunctionType
from typing import Any

sys.path.append(sys.path.pop(0))  # scripts beside this one are called like packages

TARGETS = (
    *("image", "tar", "h5", "img2dataset", "csv", "model", "checkpoint", "segment", "store"),
    *("predictions", "http"),
)
PACKAGES = ("featurestore", "classifiers", "cnn", "bench", "PIL", "h5py", "numpy.lib", "requests")
SECONDS_EACH, MEGABYTES = 10, 1024
MOST_BYTES = 64 * 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", nargs="*", metavar="TARGET", help="[default: all]")
    parser.add_argument("--seconds", type=int, default=200, help="for each target")
    parser.add_argument("--findings", type=Path, default=Path("findings"), metavar="DIR")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--again", type=Path, metavar="FILE", help="run one input of one target")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    chosen = options.target or list(TARGETS)
    if options.again:
        run_once(chosen[0], options.again)
    elif options.child:
        fuzz(chosen[0], options.findings, options.seconds)
    else:
        rows = [watch(name, options.findings, options.seconds) for name in chosen]
        if options.json:
            options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def watch(name: str, findings: Path, seconds: int) -> dict[str, Any]:
    """Fuzz one target in processes of their own; begin again where one of them crashed."""
    place = findings / name
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    runs, start = 0, time.monotonic()
    while (left := seconds - (time.monotonic() - start)) > 2:
        command = [sys.executable, __file__, name, "--child", "--findings", str(findings)]
        ended, said = _run([*command, "--seconds", str(int(left))], left + 60)
        counts = re.findall(r"^#(\d+)|number_of_executed_units: (\d+)", said, re.MULTILINE)
        runs += max((int(a or b) for a, b in counts), default=0)
        if not ended:
            (place / f"crash-{int(time.time())}.log").write_text(said[-20_000:])
    found = sorted(p.name for p in place.iterdir() if p.suffix != ".txt")
    row = {
        "target": name,
        "seconds": round(time.monotonic() - start),
        "runs": runs,
        "findings": len([n for n in found if not n.endswith(".log")]),
    }
    print(row, flush=True)
    return row


def _run(command: list[str], seconds: float) -> tuple[bool, str]:
    """Return whether a process came to the end of its time, and what it said."""
    try:
        child = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=seconds
        )
        return child.returncode == 0, child.stderr
    except subprocess.TimeoutExpired as late:  # threads of a library may keep it from ending
        said = (late.stderr or b"").decode(errors="replace")
        return "Done " in said, said


def fuzz(name: str, findings: Path, seconds: int) -> None:
    """Fuzz one target in this process until the time is over."""
    import atheris

    with atheris.instrument_imports(include=list(PACKAGES), enable_loader_override=False):
        run, seeds = _prepare(name)
    _instrument_standard_library(atheris)
    place = findings / name
    seen: set[str] = set()

    def test(data: bytes) -> None:
        try:
            run(data)
        except Exception as error:
            _keep(error, data, place, seen)

    with tempfile.TemporaryDirectory() as corpus:
        for i, seed in enumerate(seeds):
            (Path(corpus) / str(i)).write_bytes(seed)
            run(seed)
        limits = {
            "max_total_time": seconds,
            "timeout": SECONDS_EACH,
            "rss_limit_mb": _resident_mb() + MEGABYTES,
            "max_len": MOST_BYTES,
            "print_final_stats": 1,
            "artifact_prefix": f"{place}/",
        }
        flags = [f"-{flag}={value}" for flag, value in limits.items()]
        atheris.Setup([sys.argv[0], corpus, *flags], test)
        atheris.Fuzz()


def run_once(name: str, path: Path) -> None:
    """Run one input and let its error show; say how long it took and what it held."""
    run, seeds = _prepare(name)
    run(seeds[0])
    before, start = _resident_mb(), time.monotonic()
    try:
        run(path.read_bytes())
    finally:
        more = _resident_mb() - before
        print(f"{time.monotonic() - start:.1f} s, {more} MB more than before")


def _prepare(name: str) -> tuple[Callable[[bytes], None], list[bytes]]:
    """Return what runs an input, and sound inputs; documented errors are passed over."""
    from _fuzz_own import ours
    from _fuzz_targets import theirs

    target = (theirs() | ours())[name]
    quick = "/dev/shm" if Path("/dev/shm").is_dir() else None

    def run(data: bytes) -> None:
        with tempfile.TemporaryDirectory(dir=quick) as folder, suppress(*target.allowed):
            target.run(data, Path(folder))

    return run, list(target.seeds())


def _instrument_standard_library(atheris: Any) -> None:
    """Modules that were imported before can be instrumented function by function alone."""
    import csv
    import tarfile
    import zipfile

    for holder in (tarfile, tarfile.TarFile, tarfile.TarInfo, zipfile, zipfile.ZipFile, csv):
        for key, value in vars(holder).copy().items():
            if isinstance(value, FunctionType):
                setattr(holder, key, atheris.instrument_func(value))


def _keep(error: Exception, data: bytes, place: Path, seen: set[str]) -> None:
    """Keep an input that led to an error of a new kind or at a new place."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{type(error).__name__} {frames[-1].filename}:{frames[-1].lineno}"
    name = hashlib.sha256(where.encode()).hexdigest()[:12]
    if where in seen or (place / name).exists():
        return
    seen.add(where)
    (place / name).write_bytes(data)
    (place / f"{name}.txt").write_text("".join(traceback.format_exception(error)))


def _resident_mb() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
