"""Networks that learn from images: from scratch, or fine-tuned from a pretrained backbone."""

from cnn._base import ImageClassifier
from cnn._saved import load_model
from cnn.finetune import FineTunedCNN, NoisyFineTunedCNN
from cnn.fractalnet import FractalNet
from cnn.resnet import ResNet
from featurestore._fitting import TrainingDivergedError
from featurestore._model_file import SavedModelError

__all__ = [
    "FineTunedCNN",
    "FractalNet",
    "ImageClassifier",
    "NoisyFineTunedCNN",
    "ResNet",
    "SavedModelError",
    "TrainingDivergedError",
    "load_model",
]
