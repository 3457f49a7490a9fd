"""Opening saved models."""

from classifiers._base import EmbeddingClassifier
from classifiers._lightgbm import LightGBM
from classifiers._linear_probe import LinearProbe
from classifiers._mlp import MLP
from classifiers._pca_svm import PCASVM
from featurestore._model_file import SavedModelError
from featurestore._savable import loader

__all__ = ["MODELS", "SavedModelError", "load_model"]

MODELS: tuple[type[EmbeddingClassifier], ...] = (MLP, PCASVM, LightGBM, LinearProbe)
load_model = loader(MODELS)
