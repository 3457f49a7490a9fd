"""How good a model is on dev while it is trained."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np


def dev_curve(model: Any, checkpoint: Path) -> list[float]:
    """Return the dev accuracy after each epoch so far; empty where that can't be had.

    A classifier's curves grow while it fits. A network's are there only at the end, but its
    checkpoint has them after each epoch. The others have none: LightGBM stops by itself, and
    machines are solved at once.
    """
    history: dict[str, list[float]] = getattr(model, "history_", {})
    if not history:
        history = _kept(checkpoint)
    return history.get("dev_accuracy", [])


def _kept(checkpoint: Path) -> dict[str, list[float]]:
    """Return the curves in a checkpoint; its arrays are not read."""
    try:
        with checkpoint.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            history: dict[str, list[float]] = json.loads(str(file["text"]))["state"]["history"]
            return history
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}
