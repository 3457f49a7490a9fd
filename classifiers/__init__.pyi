from ._base import EmbeddingClassifier
from ._lightgbm import LightGBM
from ._linear_probe import LinearProbe
from ._mlp import MLP
from ._pca_svm import PCASVM
from ._saved import SavedModelError, load_model

__all__ = [
    "MLP",
    "PCASVM",
    "EmbeddingClassifier",
    "LightGBM",
    "LinearProbe",
    "SavedModelError",
    "load_model",
]
