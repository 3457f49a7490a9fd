"""A pretrained backbone with a new last layer, trained on images at a size it was made for.

First the last layer alone, as a linear probe of the backbone's embeddings (Kumar et al., ICLR
2022: a network that starts fine-tuning from random last weights loses what it knew); then the upper
third of the backbone with it; then everything. Lower layers, which see edges and colours, learn at
a lower rate than upper ones (Howard and Ruder, ACL 2018).
"""

from typing import Any, ClassVar

import numpy as np

from cnn._base import Array, ImageClassifier, Progress
from cnn._images import Images
from featurestore._targets import ClassWeight

# The rate of a backbone's lowest layer, as a share of the highest's.
LOWEST_RATE = 0.1
# The share of a backbone's layers that learns from the start.
UPPER = 1 / 3
MIN_SIDE = 64  # px: below, a backbone's last map has hardly a pixel


class FineTunedCNN(ImageClassifier):
    """A pretrained network, fine-tuned: You et al.'s strongest baseline.

    Parameters
    ----------
    backbone : str
        One of featurestore.BACKBONES.
    upper_epochs : int
        Epochs in which the last layer and the upper third of the backbone learn, before the rest.
    dropout : float
        Of the embedding.

    Notes
    -----
    ``Recipe`` describes the other parameters. Adam at 3e-4 moves a pretrained network without
    undoing it; six epochs are where dev stops gaining on 8,890 images (86.5 % in the last two).

    The linear probe that the last layer begins as learns from ``y`` alone: soft labels and
    ``class_weight`` count from the first epoch on.

    The backbone's batch normalisation keeps its statistics: those of a few thousand images, a batch
    of 32 at a time, would be worse.
    """

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "default": {},
        "report": {"upper_epochs": 0, "schedule": "plateau", "averaging": 0.0, "mirror": False},
        "quick": {"epochs": 2, "upper_epochs": 1},
    }
    only_weak: ClassVar[bool] = False  # whether it trains on weakly labelled images

    def __init__(
        self,
        backbone: str = "mobilenet",
        upper_epochs: int = 1,
        dropout: float = 0.2,
        epochs: int = 6,
        batch_size: int = 32,
        optimizer: str = "adam",
        learning_rate: float = 3e-4,
        schedule: str = "cosine",
        warmup: float = 0.2,
        l2: float = 0.0,
        clip: float = 0.0,
        averaging: float = 0.99,
        label_smoothing: float = 0.1,
        flip: bool = True,
        shift: int = 8,
        cutout: int = 0,
        mixup: float = 0.0,
        patience: int | None = None,
        mirror: bool = True,
        class_weight: ClassWeight = None,
        random_state: int = 0,
    ) -> None:
        self.backbone = backbone
        self.upper_epochs = upper_epochs
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.warmup = warmup
        self.l2 = l2
        self.clip = clip
        self.averaging = averaging
        self.label_smoothing = label_smoothing
        self.flip = flip
        self.shift = shift
        self.cutout = cutout
        self.mixup = mixup
        self.patience = patience
        self.mirror = mirror
        self.class_weight = class_weight
        self.random_state = random_state

    def _network(self) -> Any:
        from cnn._finetune import build
        from cnn._layers import Step
        from cnn._training import Network

        side, width, _ = self.image_shape_
        if side < MIN_SIDE or side != width:
            raise ValueError(
                f"{type(self).__name__} needs square images of at least {MIN_SIDE} px, these have "
                f"{side} x {width}; `bench extract --image-size 160` keeps larger ones"
            )
        step = Step(self.random_state)
        model = build(self.backbone, side, len(self.classes_), self.dropout, step)
        return Network(model, step, self.mean_, self.scale_)

    def _pixel_scaling(self, X: Images) -> tuple[Array, Array]:
        # The backbone's own preprocessing is part of the model.
        return np.zeros(3, np.float32), np.ones(3, np.float32)

    def _prepare(self, network: Any, X: Images, codes: Array, progress: Progress) -> None:
        from cnn._finetune import probe

        probe(network, X, codes, progress)

    def _stages(self, network: Any) -> list[Any]:
        from cnn._training import Stage

        trained = network.trainable
        # Where each variable stands between input (0) and output (1); the last two are the new
        # layer's.
        place = np.r_[np.linspace(0, 1, len(trained) - 2), 1, 1]
        scales = LOWEST_RATE ** (1 - place)
        upper = np.where(place >= 1 - UPPER, scales, 0.0)
        return [Stage(self.upper_epochs, upper.tolist()), Stage(0, scales.tolist())]


class NoisyFineTunedCNN(FineTunedCNN):
    """The same, trained on weakly labelled images alone: You et al.'s middle baseline.

    Weakly labelled is what people did not agree on: as many against it as for it or more, or fewer
    than three asked. A store has such images where ``bench extract --keep all`` kept them.
    """

    only_weak: ClassVar[bool] = True
