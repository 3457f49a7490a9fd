"""A trial and a study as tables, pictures and presets see them; no part of Optuna's."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["ok", "pruned", "failed", "running"]


@dataclass(frozen=True)
class Trial:
    """One training with settings of its own.

    Attributes
    ----------
    number : int
        From 1 on, without those that were cut short and begun again.
    state : {"ok", "pruned", "failed", "running"}
    values : dict
        Of the parameters that are searched.
    dev_accuracy : float or None
        What settings are chosen by; for a pruned trial where it was when it was ended.
    dev_loss, train_accuracy, train_loss : float or None
        Losses are means of -ln(probability of the true label).
    seconds : float or None
    reason : str
        Why it failed, or where it was pruned.
    """

    number: int
    state: State
    values: dict[str, Any]
    dev_accuracy: float | None = None
    dev_loss: float | None = None
    train_accuracy: float | None = None
    train_loss: float | None = None
    seconds: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class About:
    """What a study is on. Another one can't go on with it.

    Attributes
    ----------
    model : str
    grid : bool
        Whether it is the report's grid and no search.
    base : str
        The preset whose settings hold where nothing is searched.
    seed : int
    max_epochs : int or None
    store_fingerprint : str
    groups : dict of list of str
    space : str
        The sha256 of the ranges and of all settings that are not searched.
    dev_images : int
    labels : int
    versions : dict of str
        Of libraries that may change what is tried and its numbers; empty where an earlier version
        of this program began the study.
    """

    model: str
    grid: bool
    base: str
    seed: int
    max_epochs: int | None
    store_fingerprint: str
    groups: dict[str, list[str]]
    space: str
    dev_images: int
    labels: int
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What its files are called."""
        return f"{self.model}-grid" if self.grid else self.model


def ranked(trials: Iterable[Trial]) -> list[Trial]:
    """Return the trials that ended well, the best first.

    Of equal accuracies on dev the one with the lower loss there is better, then the earlier one.
    """

    def place(trial: Trial) -> tuple[float, float, int]:
        loss = trial.dev_loss
        assert trial.dev_accuracy is not None
        return -trial.dev_accuracy, math.inf if loss is None else loss, trial.number

    return sorted((t for t in trials if t.state == "ok"), key=place)
