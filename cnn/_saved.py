"""Opening saved models."""

from cnn._base import ImageClassifier
from cnn.finetune import FineTunedCNN, NoisyFineTunedCNN
from cnn.fractalnet import FractalNet
from cnn.resnet import ResNet
from featurestore._savable import loader

MODELS: tuple[type[ImageClassifier], ...] = (ResNet, FractalNet, FineTunedCNN, NoisyFineTunedCNN)
load_model = loader(MODELS)
