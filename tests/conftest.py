"""Fixtures that more than one part of the tests needs."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's greetings hide a test's output

import io
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

# What a shell starts in the background ignores Ctrl-C, and so would all that tests start and stop.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["http_server", "s3_server"]


@pytest.fixture
def jpeg() -> Callable[..., bytes]:
    """Return a function that makes a JPEG file; no two seeds give the same picture."""

    def make(seed: int = 0, size: tuple[int, int] = (64, 48), quality: int = 90) -> bytes:
        rng = np.random.default_rng(seed)
        coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        buffer = io.BytesIO()
        coarse.resize(size, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=quality)
        return buffer.getvalue()

    return make


@pytest.fixture
def photo_folder(tmp_path: Path, jpeg: Callable[..., bytes]) -> Path:
    """A folder of 3 class folders with 10 JPEGs each."""
    root = tmp_path / "photos"
    for label, name in enumerate(("calm", "dread", "joy")):
        (root / name).mkdir(parents=True)
        for number in range(10):
            (root / name / f"{number}.jpg").write_bytes(jpeg(seed=100 * label + number))
    return root
