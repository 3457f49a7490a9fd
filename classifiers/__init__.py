"""Classifiers on embeddings, after scikit-learn's conventions."""

from classifiers._base import EmbeddingClassifier
from classifiers._lightgbm import LightGBM
from classifiers._linear_probe import LinearProbe
from classifiers._mlp import MLP
from classifiers._pca_svm import PCASVM
from classifiers._saved import load_model
from featurestore._model_file import SavedModelError

__all__ = [
    "MLP",
    "PCASVM",
    "EmbeddingClassifier",
    "LightGBM",
    "LinearProbe",
    "SavedModelError",
    "load_model",
]
