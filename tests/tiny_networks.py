"""A network that trains in a second, and images that it learns."""

from typing import Any

import numpy as np
import numpy.typing as npt

from cnn import FractalNet


def data(count: int = 120, seed: int = 0) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return images in three classes, each with a bright band of its own."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 3
    X = rng.integers(0, 130, (count, 16, 16, 3), dtype=np.uint8)
    for k in range(3):
        X[y == k, 5 * k : 5 * k + 5] += 70
    return X, y


def tiny(**changed: Any) -> FractalNet:
    settings: dict[str, Any] = {
        "columns": 2,
        "channels": (4, 8),
        "dropout": (0.0, 0.1),
        "epochs": 4,
        "batch_size": 20,
        "shift": 1,
    }
    return FractalNet(**settings | changed)
