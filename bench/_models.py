"""The models by the names that commands and results call them."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bench._errors import BenchError

# What a model learns from: embeddings, the 32 px tensors, the largest images of the store, or such
# of them as people did not agree on.
Input = Literal["embeddings", "thumbnails", "images", "weak images"]
STANDARD_PRESETS = ("default", "report", "quick")


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
    learns_from : Input
    """

    name: str
    title: str
    module: str
    builder: str
    libraries: tuple[str, ...]
    learns_from: Input = "embeddings"

    def build(self, seed: int, preset: str, settings: Mapping[str, Any] | None = None) -> Any:
        """Return the model, unfitted, with a preset's settings, or with these if they are given."""
        builder = getattr(importlib.import_module(self.module), self.builder)
        if settings is None:
            settings = builder.presets[preset]
        return builder(**settings, random_state=seed)

    def preset_for(self, asked: str | None, synthetic: bool) -> str:
        """Return the preset to use: the one asked for, or else the one that suits the images.

        Unasked, networks on drawn images have "quick", where scores say nothing anyhow.
        Classifiers on embeddings have no such: they are quick as they are.
        """
        if self.learns_from == "embeddings":
            return asked if asked and asked != "quick" else "default"
        return asked or ("quick" if synthetic else "default")


NETWORK = ("tensorflow", "keras", "numpy")
# Their last layer begins as a logistic regression.
FINE_TUNED = (*NETWORK, "scikit-learn", "scipy")
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
        ModelEntry("resnet", "ResNet-18", "cnn", "ResNet", NETWORK, "thumbnails"),
        ModelEntry("fractalnet", "FractalNet", "cnn", "FractalNet", NETWORK, "thumbnails"),
        ModelEntry("finetuned", "fine-tuned CNN", "cnn", "FineTunedCNN", FINE_TUNED, "images"),
        ModelEntry(
            "noisy-finetuned",
            "noisy fine-tuned CNN",
            "cnn",
            "NoisyFineTunedCNN",
            FINE_TUNED,
            "weak images",
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
