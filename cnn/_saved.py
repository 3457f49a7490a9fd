"""Opening saved models."""

from collections.abc import Sequence
from pathlib import Path

from cnn._base import ImageClassifier
from cnn.finetune import FineTunedCNN, NoisyFineTunedCNN
from cnn.fractalnet import FractalNet
from cnn.resnet import ResNet
from featurestore._model_file import read_model

MODELS = (ResNet, FractalNet, FineTunedCNN, NoisyFineTunedCNN)


def load_model(
    path: str | Path,
    *,
    fingerprint: str | None = None,
    label_names: Sequence[str] | None = None,
) -> ImageClassifier:
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
    model: ImageClassifier = read_model(path, known, fingerprint, label_names)
    return model
