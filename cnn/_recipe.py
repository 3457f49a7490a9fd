"""How a network is trained: one set of settings for all of them."""

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np

from featurestore._fitting import require


@dataclass(frozen=True)
class Recipe:
    """Settings of the training loop.

    Attributes
    ----------
    epochs, batch_size : int
        Rows beyond the last whole batch of an epoch's order wait for another epoch.
    optimizer : {"sgd", "adam"}
        SGD has Nesterov's momentum of 0.9.
    learning_rate : float
        The highest.
    schedule : {"cosine", "plateau", "constant"}
        "cosine" falls to 0 with the last epoch; "plateau" divides by 10 when the loss on dev (or in
        training, without dev) was not better for 5 epochs.
    warmup : float
        Epochs in which the rate rises from 0.
    l2 : float
        Times half the sum of squared kernels, in the loss.
    clip : float
        The largest norm of all gradients together; 0: any.
    averaging : float
        Share of the old average of weights in each step's new one; the network that predicts is
        that average. 0: none.
    label_smoothing : float
        Share of each target that is spread over all classes.
    flip : bool
    shift, cutout : int
        Augmentation: mirror images, moves by up to so many pixels, and squares of this side.
    mixup : float
        Parameter of the Beta distribution; 0: none.
    patience : int or None
        Epochs without a better dev accuracy before training ends. The best epoch is kept, None:
        the last one.
    random_state : int
    """

    epochs: int
    batch_size: int
    optimizer: str
    learning_rate: float
    schedule: str
    warmup: float
    l2: float
    clip: float
    averaging: float
    label_smoothing: float
    flip: bool
    shift: int
    cutout: int
    mixup: float
    patience: int | None
    random_state: int

    def __post_init__(self) -> None:
        for name, allowed in (
            ("optimizer", ("sgd", "adam")),
            ("schedule", ("cosine", "plateau", "constant")),
        ):
            if getattr(self, name) not in allowed:
                choice = " or ".join(map(repr, allowed))
                raise ValueError(f"{name} is {getattr(self, name)!r}; it can be {choice}")
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            require(value >= 1, name, value, "at least 1")

    @classmethod
    def of(cls, model: Any) -> Self:
        """Return the recipe among a classifier's parameters."""
        return cls(**{field.name: getattr(model, field.name) for field in fields(cls)})

    def rate(self, done: float, factor: float) -> float:
        """Return the rate after ``done`` epochs; ``factor`` is what plateaus left of it."""
        rate = self.learning_rate * factor
        if done < self.warmup:
            rate *= done / self.warmup
        elif self.schedule == "cosine":
            part = (done - self.warmup) / max(self.epochs - self.warmup, 1e-9)
            rate *= (1 + float(np.cos(np.pi * min(part, 1)))) / 2
        return rate
