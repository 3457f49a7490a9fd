"""What made a result, beside its settings: the program's source and the machine."""

import functools
import hashlib
import os
import platform
from pathlib import Path

from bench._records import Machine

PACKAGES = ("featurestore", "classifiers", "cnn", "bench")


@functools.cache
def source_digest() -> str:
    """Return the SHA-256 of this program's Python files, as they are installed.

    A version number stays the same while a program is worked on; this doesn't.
    """
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(p for package in PACKAGES for p in (root / package).rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


def this_machine(gpu: bool) -> Machine:
    """Return where this process runs."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    cpus = len(affinity(0)) if affinity else os.cpu_count() or 1
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        cpus=cpus,
        gpu=gpu,
    )
