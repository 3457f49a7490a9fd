"""Labels and votes as what a model learns from."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
ClassWeight = dict[Any, float] | str | None


def training_targets(
    codes: Array, soft: Array | None, class_weight: ClassWeight, classes: Array
) -> Array:
    """Return what to learn, float32 (n, classes): soft or one-hot labels, times weights.

    Parameters
    ----------
    codes : int (n,), positions in ``classes``
    soft : float32 (n, classes), rows that add up to 1, or None
    class_weight : {"balanced", None} or dict of float by label
        "balanced" gives each class the same total, by the hard labels; a dict has a weight above 0
        for some of the labels.
    classes : (classes,)

    Raises
    ------
    ValueError
        If the weights are none of these.
    """
    counts = np.bincount(codes, minlength=len(classes))
    targets = np.eye(len(classes), dtype=np.float32)[codes] if soft is None else soft
    if class_weight is None:
        return targets
    if isinstance(class_weight, dict):
        weights = np.array([class_weight.get(label, 1.0) for label in classes.tolist()])
        for label, weight in zip(classes, weights, strict=True):
            # As it is learned from: in single precision.
            if not 0 < np.float32(weight) < np.inf:
                raise ValueError(
                    f"class_weight of {label} is {weight}; it must be a finite number above 0"
                )
    elif class_weight == "balanced":
        weights = len(codes) / (len(counts) * counts)
    else:
        raise ValueError(f"class_weight is {class_weight!r}; it can be None, 'balanced' or a dict")
    return np.asarray(targets * weights, np.float32)


def dev_measures(probabilities: Array, codes: Array) -> dict[str, float]:
    """Return "dev_loss" and "dev_accuracy" of probabilities (m, classes) with codes (m,)."""
    right = probabilities[np.arange(len(codes)), codes]
    loss = -np.log(np.maximum(right, np.finfo(np.float32).tiny)).mean()
    accuracy = (probabilities.argmax(axis=1) == codes).mean()
    return {"dev_loss": float(loss), "dev_accuracy": float(accuracy)}


def check_soft_labels(soft_labels: Array, rows: int, classes: Array) -> Array:
    """Return soft labels, float32 (rows, classes), divided by the sum of each row.

    Raises
    ------
    ValueError
        If they have another shape, numbers that can't be shares, a row or a class without any.
    """
    soft = np.asarray(soft_labels, np.float32)
    if soft.shape != (rows, len(classes)):
        raise ValueError(f"soft_labels has shape {soft.shape}, not {(rows, len(classes))}")
    if not np.isfinite(soft).all() or (soft < 0).any():
        raise ValueError("soft_labels holds NaN, infinity or a negative number")
    totals = soft.sum(axis=1, keepdims=True)
    if not totals.all():
        raise ValueError("soft_labels has a row without any label")
    missing = classes[~soft.any(axis=0)]
    if len(missing):
        raise ValueError(f"soft_labels never has {missing[0]}, which y has")
    return np.asarray(soft / totals)
