"""How good a model is on dev while it is trained."""

import json
from pathlib import Path
from typing import Any

from featurestore._npz import read_npz


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
        text = read_npz(checkpoint, ["text"])["text"]
        history: dict[str, list[float]] = json.loads(str(text))["state"]["history"]
        return history
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
