"""TensorFlow, imported without its greetings.

It writes a screenful about the processor and missing GPUs to standard error, from C++, before any
setting is read. Errors still come through, as exceptions.
"""

import contextlib
import functools
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

_quiet = threading.RLock()


@functools.cache
def load_tensorflow() -> Any:
    """Import TensorFlow, look for GPUs, and have it share their memory with other programs."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with quiet():
        import tensorflow as tf

        for gpu in tf.config.list_physical_devices("GPU"):
            with contextlib.suppress(RuntimeError):  # in use already, and so decided
                tf.config.experimental.set_memory_growth(gpu, True)
    tf.get_logger().setLevel("ERROR")  # hints about retracing and the like concern developers
    return tf


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Send what C++ writes to standard error nowhere; one thread at a time."""
    with _quiet:  # a second thread would keep the first one's nowhere, and bring it back
        sys.stderr.flush()
        kept = os.dup(2)
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
