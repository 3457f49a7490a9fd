"""The models by the names that commands and results call them."""

import importlib
from dataclasses import dataclass
from typing import Any

from bench._errors import BenchError


@dataclass(frozen=True)
class ModelEntry:
    """A model that can be run.

    Attributes
    ----------
    name : str
        On the command line and in every result.
    title : str
        In tables.
    module, builder : str
        Where its class is; imported when it is run.
    libraries : tuple of str
        Distributions whose version may change its numbers.
    """

    name: str
    title: str
    module: str
    builder: str
    libraries: tuple[str, ...]

    def build(self, seed: int, preset: str) -> Any:
        """Return the model, unfitted, with a preset's settings."""
        builder = getattr(importlib.import_module(self.module), self.builder)
        return builder(**builder.presets[preset], random_state=seed)


MODELS = {
    entry.name: entry
    for entry in (
        ModelEntry("mlp", "3-layer MLP", "classifiers", "MLP", ("numpy",)),
        ModelEntry(
            "pca-svm", "PCA + SVM", "classifiers", "PCASVM", ("scikit-learn", "scipy", "numpy")
        ),
        ModelEntry("lightgbm", "LightGBM", "classifiers", "LightGBM", ("lightgbm", "numpy")),
        ModelEntry(
            "linear-probe",
            "linear probe",
            "classifiers",
            "LinearProbe",
            ("scikit-learn", "scipy", "numpy"),
        ),
    )
}


def get_model(name: str) -> ModelEntry:
    """Return the model called ``name``.

    Raises
    ------
    BenchError
        If there is none.
    """
    try:
        return MODELS[name]
    except KeyError:
        raise BenchError(f"no model is called {name!r}; there are {', '.join(MODELS)}") from None
