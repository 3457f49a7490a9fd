"""FractalNet, from scratch (Larsson, Maire and Shakhnarovich, ICLR 2017).

A block of C columns follows one rule: a fractal of one column is a convolution, and one of C
columns joins a convolution with two fractals of C - 1 columns, one after the other. Joins are
means. Column 0 has one convolution in each block, column C - 1 has 2 ** (C - 1) of them.

Drop-path, half of the mini-batches each: *local* drops each input of each join with a probability,
but never all of a join's; *global* leaves one column, the same in all blocks. A mini-batch of the
latter is computed as that column alone.
"""

from typing import Any, ClassVar

import numpy as np

from cnn._base import Array, ImageClassifier
from cnn._images import Images
from featurestore._targets import ClassWeight

CHANNELS = (64, 128, 256, 512, 512)  # the paper's: 33.7 million parameters with 3 columns
# A quarter of them: a sixteenth of the arithmetic, for machines without a GPU.
CPU_CHANNELS = (16, 32, 64, 128, 128)


class FractalNet(ImageClassifier):
    """A fractal network, trained from scratch with drop-path.

    Parameters
    ----------
    columns : int
        3, as in the paper's main table.
    channels : tuple of int or None
        Of each block. None: the paper's (64, 128, 256, 512, 512) on a GPU, a quarter of them
        without one; ``channels_`` has what was chosen.
    drop_path : float
        Probability that local drop-path drops an input of a join. 0: no drop-path at all.
    dropout : tuple of float
        In each unit of a block, after its convolution.

    Attributes
    ----------
    channels_ : tuple of int

    Notes
    -----
    ``Recipe`` describes the other parameters. Drop-path is the paper's; the rate, averaging and
    label smoothing are ``ResNet``'s, with 60 epochs, because half of the mini-batches train one
    column alone. A quarter of the channels needs less dropout than the paper's 0 to 40 %: 10 % in
    the last two blocks; on 8,890 images train was still only 8 points above dev at the end.
    """

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "default": {},
        "report": {
            "learning_rate": 0.02,
            "schedule": "plateau",
            "warmup": 0.0,
            "epochs": 400,
            "l2": 0.0,
            "averaging": 0.0,
            "label_smoothing": 0.0,
            "dropout": (0.0, 0.1, 0.2, 0.3, 0.4),
            "mirror": False,
        },
        "quick": {"epochs": 30, "batch_size": 32},
    }
    _learned: ClassVar[tuple[str, ...]] = (*ImageClassifier._learned, "channels_")

    def __init__(
        self,
        columns: int = 3,
        channels: tuple[int, ...] | None = None,
        drop_path: float = 0.15,
        dropout: tuple[float, ...] = (0.0, 0.0, 0.0, 0.1, 0.1),
        epochs: int = 60,
        batch_size: int = 100,
        optimizer: str = "sgd",
        learning_rate: float = 0.1,
        schedule: str = "cosine",
        warmup: float = 2.0,
        l2: float = 5e-4,
        clip: float = 0.0,
        averaging: float = 0.99,
        label_smoothing: float = 0.1,
        flip: bool = True,
        shift: int = 4,
        cutout: int = 0,
        mixup: float = 0.0,
        patience: int | None = None,
        mirror: bool = True,
        class_weight: ClassWeight = None,
        random_state: int = 0,
    ) -> None:
        self.columns = columns
        self.channels = channels
        self.drop_path = drop_path
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

    def predict_column_proba(self, X: Images, column: int) -> Array:
        """Return probabilities, float (n, classes), by one column alone.

        Parameters
        ----------
        X : uint8 (n, side, side, 3)
        column : int
            0 the shallowest, ``columns - 1`` the deepest.
        """
        if not 0 <= column < self.columns:
            raise ValueError(f"column is {column}; there are 0 to {self.columns - 1}")
        return self._probabilities(X, column)

    def _network(self) -> Any:
        import tensorflow as tf

        from cnn._fractal import FractalModel
        from cnn._layers import Step
        from cnn._training import Network

        if not hasattr(self, "channels_"):
            gpu = tf.config.list_physical_devices("GPU")
            self.channels_ = tuple(self.channels or (CHANNELS if gpu else CPU_CHANNELS))
        step = Step(self.random_state)
        model = FractalModel(
            self.image_shape_,
            self.channels_,
            self.columns,
            len(self.classes_),
            self.drop_path,
            self.dropout,
            step,
        )
        choose = None
        if self.drop_path:
            choose = _PathChoice(self.columns, self.random_state)
        return Network(model, step, self.mean_, self.scale_, choose)


class _PathChoice:
    """Which part of the network a mini-batch trains: half "local", half one column each."""

    def __init__(self, columns: int, seed: int) -> None:
        self._columns, self._seed = columns, seed

    def __call__(self, number: int) -> str | int:
        rng = np.random.default_rng([self._seed, number])
        return "local" if rng.random() < 0.5 else int(rng.integers(self._columns))
