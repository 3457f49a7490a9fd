"""How much memory something takes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

SAMPLE_SECONDS = 0.05


class PeakMemory:
    """The process' resident memory at its highest, in MB."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self.megabytes = 0.0
        self.sample()

    def sample(self) -> None:
        """Look at the memory once."""
        self.megabytes = max(self.megabytes, self._process.memory_info().rss / 1e6)


@contextmanager
def peak_memory() -> Iterator[PeakMemory]:
    """Yield a PeakMemory that a thread keeps up to date until the end of the ``with`` block.

    The operating system's own high-water mark is of no use here: it never comes down again, so that
    a small model after a large one would seem large.
    """
    peak, ended = PeakMemory(), threading.Event()

    def watch() -> None:
        while not ended.wait(SAMPLE_SECONDS):
            peak.sample()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        ended.set()
        watcher.join()
        peak.sample()
