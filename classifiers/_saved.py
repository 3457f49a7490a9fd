"""Opening saved models."""

from collections.abc import Sequence
from pathlib import Path

from classifiers._base import EmbeddingClassifier
from classifiers._lightgbm import LightGBM
from classifiers._linear_probe import LinearProbe
from classifiers._mlp import MLP
from classifiers._pca_svm import PCASVM
from featurestore._model_file import read_model

MODELS = (MLP, PCASVM, LightGBM, LinearProbe)


def load_model(
    path: str | Path,
    *,
    fingerprint: str | None = None,
    label_names: Sequence[str] | None = None,
) -> EmbeddingClassifier:
    """Return a model that ``save`` wrote; it predicts as it did then.

    Parameters
    ----------
    path : str or Path
    fingerprint : str, optional
        The store's that it is to be used with; anything else is refused.
    label_names : sequence of str, optional
        What its labels have to be called.

    Raises
    ------
    FileNotFoundError
    SavedModelError
        If the file holds no model, or one of another store or with other labels.
    """
    known: dict[str, type] = {model.__name__: model for model in MODELS}
    model: EmbeddingClassifier = read_model(path, known, fingerprint, label_names)
    return model
