"""What ``bench tune`` searches: every model's ranges, each with its reason, and the report's grid.

What isn't named here stays as the preset has it that the search begins with.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from bench._errors import BenchError

Value = float | int | str


@dataclass(frozen=True)
class Parameter:
    """One of a model's parameters, and where its best value is looked for.

    Attributes
    ----------
    name : str
        The constructor's.
    why : str
        The reason for the range.
    low, high : float or int, or None
        Bounds, both included; whole numbers where both are. None: there are choices.
    log : bool
        Whether it is the ratio of two values that matters.
    choices : tuple
    first : float, int or str
        What the first trial has: the default's own, or the nearest to it.
    setting : callable
        Makes what the constructor takes of a value.
    """

    name: str
    why: str
    first: Value
    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[Value, ...] = ()
    setting: Callable[[Any], Any] = field(default=lambda value: value, repr=False)

    def describe(self) -> dict[str, Any]:
        """Return what makes a search another one, as JSON."""
        about = {"name": self.name, "first": self.first, "log": self.log}
        return about | {"low": self.low, "high": self.high, "choices": list(self.choices)}


@dataclass(frozen=True)
class Space:
    """All that is searched of one model.

    Attributes
    ----------
    parameters : tuple of Parameter
    fixed : dict
        Settings that the search needs as they are.
    """

    parameters: tuple[Parameter, ...]
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def settings(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return settings for the constructor from a value for each parameter."""
        return {
            **self.fixed,
            **{p.name: p.setting(values[p.name]) for p in self.parameters if p.name in values},
        }

    def describe(self) -> dict[str, Any]:
        """Return what makes a search another one, as JSON."""
        return {"parameters": [p.describe() for p in self.parameters], "fixed": dict(self.fixed)}

    def first(self) -> dict[str, Value]:
        """Return the values of the first trial."""
        return {p.name: p.first for p in self.parameters}

    def shortened(self, most: int) -> "Space":
        """Return the same with no more than so many epochs."""
        parts = []
        for p in self.parameters:
            if p.name == "epochs" and p.low is not None and p.high is not None:
                first = min(int(p.first), most)
                p = replace(p, low=min(p.low, most), high=min(p.high, most), first=first)
            parts.append(p)
        return replace(self, parameters=tuple(parts))


def _alone(value: Any) -> tuple[Any, ...]:
    """Return a list of one, for a model that would otherwise choose among several itself."""
    return (value,)


def _rising(highest: float) -> tuple[float, ...]:
    """Return dropout for FractalNet's five blocks: from none to the highest, as in the paper."""
    return tuple(round(highest * block / 4, 4) for block in range(5))


_SGD_RATE = Parameter(
    "learning_rate",
    "0.1 is usual for SGD with momentum at batches of 100; ten times less learns too little in as "
    "many epochs, and above 0.5 batch normalisation no longer holds it",
    first=0.1,
    low=0.01,
    high=0.5,
    log=True,
)
_NETWORK_BATCH = Parameter(
    "batch_size",
    "batch normalisation is noisy below 32; above 256 a few thousand images are few steps",
    first=64,
    choices=(32, 64, 128, 256),
)
_FINE_TUNING = Space(
    (
        Parameter(
            "learning_rate",
            "3e-4 is the default's; 1e-3 and more undoes what was learned on ImageNet",
            first=3e-4,
            low=1e-5,
            high=3e-3,
            log=True,
        ),
        Parameter(
            "batch_size", "larger ones are few steps an epoch", first=32, choices=(16, 32, 64)
        ),
        Parameter(
            "dropout",
            "of the embedding alone, which has 1024 features",
            first=0.2,
            low=0.0,
            high=0.6,
        ),
        Parameter(
            "upper_epochs",
            "none lets the new layer's first errors reach every layer; more than three leave the "
            "rest too few",
            first=1,
            low=0,
            high=3,
        ),
    )
)

SPACES: dict[str, Space] = {
    "mlp": Space(
        (
            Parameter(
                "learning_rate",
                "holds the report's 1e-4 and Adam's 1e-3; slower learns nothing in 300 epochs, "
                "faster diverges",
                first=1e-3,
                low=1e-5,
                high=1e-2,
                log=True,
            ),
            Parameter(
                "batch_size",
                "the report's grid: more are slower steps for no less noise, fewer are slow",
                first=128,
                choices=(16, 32, 64, 128, 256),
            ),
            Parameter(
                "epochs",
                "the length of the cosine; training ends earlier where dev gains no more",
                first=60,
                low=10,
                high=300,
                log=True,
            ),
            Parameter(
                "dropout",
                "none overfits a few thousand images; above 0.8 hardly a unit is left",
                first=0.5,
                low=0.0,
                high=0.8,
            ),
            Parameter(
                "weight_decay",
                "L2 apart from the gradient: 1e-4 is as good as none, 10 leaves nothing of the "
                "weights at a rate of 1e-3 after a thousand steps",
                first=1e-4,
                low=1e-4,
                high=10.0,
                log=True,
            ),
        )
    ),
    "pca-svm": Space(
        (
            Parameter(
                "components",
                "16 hold most of the variance, 768 nearly all of it (fewer where images are fewer)",
                first=256,
                low=16,
                high=768,
                log=True,
                setting=_alone,
            ),
            Parameter(
                "C",
                "three tenfolds either way of the RBF machine's usual 10; linear ones want less",
                first=10.0,
                low=1e-3,
                high=1e3,
                log=True,
                setting=_alone,
            ),
            Parameter(
                "kernel", "You et al.'s and the default's", first="rbf", choices=("rbf", "linear")
            ),
        )
    ),
    "lightgbm": Space(
        (
            Parameter(
                "learning_rate",
                "below 0.02 its 300 rounds are too few; above 0.3 each tree overfits",
                first=0.1,
                low=0.02,
                high=0.3,
                log=True,
            ),
            Parameter(
                "leaves",
                "from stumps that see two features to twice the library's own 31",
                first=15,
                low=3,
                high=63,
                log=True,
            ),
            Parameter(
                "feature_fraction",
                "from 32 of 1024 features a tree to all of them",
                first=0.1,
                low=0.03,
                high=1.0,
                log=True,
            ),
            Parameter(
                "l2",
                "from as good as none to leaves that hardly say anything",
                first=1.0,
                low=1e-2,
                high=100.0,
                log=True,
            ),
        )
    ),
    "linear-probe": Space(
        (
            Parameter(
                "C",
                "from as good as no weights to scikit-learn's own 1 and beyond; default's grid is "
                "within",
                first=0.003,
                low=1e-5,
                high=10.0,
                log=True,
            ),
        ),
        # Otherwise it would choose among six by itself.
        fixed={"grid": ()},
    ),
    "resnet": Space(
        (
            Parameter("depth", "all that there are", first=18, choices=(18, 34, 50, 101, 152)),
            Parameter("dropout", "the report's", first=0.01, choices=(0.01, 0.1, 0.2, 0.5)),
            _SGD_RATE,
            _NETWORK_BATCH,
        )
    ),
    "fractalnet": Space(
        (
            Parameter(
                "columns",
                "one is a plain network; four have paths of 40 layers, more than 32 px can use",
                first=3,
                choices=(2, 3, 4),
            ),
            Parameter(
                "drop_path",
                "the paper's 15 %, from none to three times it",
                first=0.15,
                low=0.0,
                high=0.45,
            ),
            Parameter(
                "dropout",
                "of the last block, rising evenly; the paper ends at 40 %",
                first=0.1,
                low=0.0,
                high=0.5,
                setting=_rising,
            ),
            _SGD_RATE,
            _NETWORK_BATCH,
        )
    ),
    "finetuned": _FINE_TUNING,
    "noisy-finetuned": _FINE_TUNING,
}


@dataclass(frozen=True)
class Grid:
    """Settings that are all tried, in a given order.

    Attributes
    ----------
    parameters : dict of tuple
        What each parameter is tried at.
    centre : dict
        What the others have meanwhile, where parameters are varied one at a time; empty: each value
        with each.
    """

    parameters: Mapping[str, tuple[Value, ...]]
    centre: Mapping[str, Value] = field(default_factory=dict)

    def points(self) -> list[dict[str, Value]]:
        """Return a value for each parameter, point by point; none comes twice."""
        names = list(self.parameters)
        if not self.centre:
            return [dict(zip(names, p, strict=True)) for p in product(*self.parameters.values())]
        found = [dict(self.centre)]
        for name, values in self.parameters.items():
            found += [dict(self.centre) | {name: value} for value in values]
        return [point for i, point in enumerate(found) if point not in found[:i]]

    def shortened(self, most: int) -> "Grid":
        """Return the same with no more than so many epochs."""

        def short(name: str, value: Value) -> Value:
            return min(int(value), most) if name == "epochs" else value

        return Grid(
            {
                name: tuple(dict.fromkeys(short(name, value) for value in values))
                for name, values in self.parameters.items()
            },
            {name: short(name, value) for name, value in self.centre.items()},
        )


# The report's figures 1 to 4 vary one of these at a time around Adam at 1e-4, batches of 64 and
# 1000 epochs; it gives no list of its points. A factor of ten, or of two, between them is what its
# axes can show. Its residual networks had these depths and shares of dropout.
GRIDS: dict[str, Grid] = {
    "mlp": Grid(
        {
            "learning_rate": (1e-5, 1e-4, 1e-3, 1e-2),
            "batch_size": (16, 32, 64, 128, 256),
            "epochs": (50, 100, 200, 500, 1000),
        },
        {"learning_rate": 1e-4, "batch_size": 64, "epochs": 1000},
    ),
    "resnet": Grid({"dropout": (0.5, 0.2, 0.1, 0.01), "depth": (18, 34, 50, 101, 152)}),
}


def get_grid(model: str) -> Grid:
    """Return the report's grid of a model.

    Raises
    ------
    BenchError
        If the report has none.
    """
    if model not in GRIDS:
        raise BenchError(f"--grid report: the report has no grid of {model}, but of {_all(GRIDS)}")
    return GRIDS[model]


def _all(names: Sequence[str] | Mapping[str, Any]) -> str:
    return " and ".join(names)
