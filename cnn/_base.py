"""What all classifiers of images share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted, column_or_1d

from cnn._checkpoint import digest, images_digest
from cnn._images import Images, channel_statistics, in_memory
from cnn._recipe import Recipe
from featurestore._fitting import TrainableModel, dev_codes, label_codes
from featurestore._targets import ClassWeight, check_soft_labels, training_targets

Array = npt.NDArray[Any]
Progress = Callable[[int, int, str], None]


def silent(done: int, total: int, text: str) -> None:
    """Ignore progress."""


class ImageClassifier(TrainableModel):
    """A network that learns from images; a subclass brings ``_network``.

    The constructor stores parameters and does nothing else; those named in ``Recipe`` say how it is
    trained. It trains on a GPU where there is one. Images are uint8 (n, side, side, 3), RGB: an
    array, or rows of a store that are read as they are needed. If ``fit`` fails, nothing is
    learned: what an earlier one did is gone too.

    Attributes
    ----------
    classes_ : (classes,)
        The labels seen in training, sorted.
    image_shape_ : (side, side, 3)
    mean_, scale_ : float32 (3,)
        What is subtracted from pixels, and what they are divided by.
    weights_ : list of float32 array
    history_ : dict of list of float, by epoch
        ``loss`` and ``accuracy`` in training, as augmented; ``learning_rate`` at the epoch's
        end; with a development set ``dev_loss`` and ``dev_accuracy``.
    n_iter_ : int, epochs run
    presets : dict of dict
        Parameters by the name of a preset: ``ResNet(**ResNet.presets["report"])``.
    """

    presets: ClassVar[dict[str, dict[str, Any]]] = {"default": {}, "report": {}, "quick": {}}
    takes_soft_labels: ClassVar[bool] = True
    _learned: ClassVar[tuple[str, ...]] = ("image_shape_", "mean_", "scale_", "weights_")
    class_weight: ClassWeight
    random_state: int
    mirror: bool
    _ready: Any = None  # the network with weights_, once it was needed

    def fit(
        self,
        X: Images,
        y: Array,
        X_dev: Images | None = None,
        y_dev: Array | None = None,
        *,
        soft_labels: Array | None = None,
        progress: Progress = silent,
        checkpoint: Path | None = None,
    ) -> Self:
        """Learn from a training set.

        Parameters
        ----------
        X : uint8 (n, side, side, 3)
        y : (n,)
        X_dev : uint8 (m, side, side, 3), optional
            A development set, to stop at the best epoch and to see where training stands. Rows with
            labels that training never saw are left out.
        y_dev : (m,), optional
            Its labels; neither is given without the other.
        soft_labels : float (n, classes), optional
            The share of people who chose each label, to learn from instead of ``y``; columns in the
            order of the sorted labels of ``y``.
        progress : callable
            Told (steps done, steps at most, text) while fitting.
        checkpoint : Path, optional
            A file to keep after each epoch what training needs to go on. If it is there, with the
            same settings and data, training goes on from it and ends with the same weights as if it
            had never stopped. Of images that don't fit in memory a few hundred are compared.

        Raises
        ------
        ValueError
            If X is not what it has to be, shapes don't fit, or there is only one class.
        ArithmeticError
            If the loss is not a number any more.
        """
        self._forget()
        recipe, name = Recipe.of(self), type(self).__name__
        shape = _checked(X, name)
        y = column_or_1d(y)
        if len(X) != len(y):
            raise ValueError(f"inconsistent numbers of samples: {len(X)} images, {len(y)} labels")
        classes, codes = label_codes(y, name)
        soft = None
        if soft_labels is not None:
            soft = check_soft_labels(soft_labels, len(X), classes)
        targets = training_targets(codes, soft, self.class_weight, classes)
        dev = _dev(X_dev, y_dev, shape, classes, name)

        from featurestore._tensorflow import load_tensorflow

        load_tensorflow()
        from cnn._training import train

        X = in_memory(X)
        self.classes_, self.image_shape_ = classes, shape
        self.mean_, self.scale_ = self._pixel_scaling(X)
        network = self._built()
        about = None
        if checkpoint:
            about = {
                "settings": {k: repr(v) for k, v in self.get_params().items()},
                "codes": digest(codes),
                "targets": digest(targets),
                "images": images_digest(X),
                "dev": [images_digest(dev[0]), digest(dev[1])] if dev else None,
            }
        self.history_ = train(
            network,
            recipe,
            X,
            targets,
            dev,
            progress,
            begin=lambda: self._prepare(network, X, codes, progress),
            stages=self._stages(network),
            checkpoint=checkpoint,
            about=about,
        )
        self.n_iter_ = len(self.history_["loss"])
        self.weights_ = [v.numpy() for v in network.variables]
        self._ready = network
        return self

    def predict_proba(self, X: Images) -> Array:
        """Return probabilities, float (n, classes), of uint8 images X (n, side, side, 3).

        Raises
        ------
        sklearn.exceptions.NotFittedError
        ValueError
            If X holds images of another size than training.
        """
        return self._probabilities(X)

    def _probabilities(self, X: Images, path: Any = None) -> Array:
        """Return probabilities (n, classes) by the whole network, or by a part of it."""
        check_is_fitted(self)
        shape = _checked(X, type(self).__name__)
        if shape != tuple(self.image_shape_):
            raise ValueError(
                f"X has images of {shape}, but {type(self).__name__} is expecting "
                f"{tuple(self.image_shape_)}"
            )
        from featurestore._tensorflow import load_tensorflow

        load_tensorflow()
        if self._ready is None:
            self._ready = self._built()
            for variable, value in zip(self._ready.variables, self.weights_, strict=True):
                variable.assign(value)
        return np.asarray(self._ready.probabilities(X, self.mirror, path))

    def predict(self, X: Images) -> Array:
        """Return the likeliest label, (n,), for each of the images X (n, side, side, 3)."""
        likeliest = self.predict_proba(X).argmax(axis=1)  # refuses if nothing was learned
        return np.asarray(self.classes_[likeliest])

    def _forget(self) -> None:
        super()._forget()
        self._ready = None

    def __getstate__(self) -> dict[str, Any]:
        """Return all but the network in TensorFlow's hands, which can't be copied."""
        return dict(super().__getstate__()) | {"_ready": None}

    def _built(self) -> Any:
        """Return a new network, for the devices that there are."""
        from cnn._devices import building

        with building():
            return self._network()

    def _network(self) -> Any:
        """Return a new Network for ``classes_``, ``image_shape_`` and ``mean_``, ``scale_``."""
        raise NotImplementedError

    def _pixel_scaling(self, X: Images) -> tuple[Array, Array]:
        """Return what to subtract from pixels and what to divide them by, float32 (3,) each."""
        return channel_statistics(X)

    def _prepare(self, network: Any, X: Images, codes: Array, progress: Progress) -> None:
        """Do what comes before training."""

    def _stages(self, network: Any) -> list[Any]:
        """Return the stages of training; none: all variables alike."""
        return []


def _dev(
    X: Images | None, y: Array | None, shape: tuple[int, ...], classes: Array, name: str
) -> tuple[Images, Array] | None:
    """Return images and codes of the development set, or None."""
    if X is not None and _checked(X, name) != shape:
        raise ValueError(
            f"X_dev has {len(X)} images of {tuple(X.shape[1:])}; images of {shape} are needed"
        )
    found = dev_codes(X, y, classes)
    if X is None or not found:
        return None
    known, codes = found
    return in_memory(X) if known.all() else X[:][known], codes


def _checked(X: Images, name: str) -> tuple[int, ...]:
    """Return the shape of each image."""
    shape = tuple(getattr(X, "shape", ()))
    if len(shape) != 4 or shape[3] != 3 or np.dtype(getattr(X, "dtype", float)) != np.uint8:
        raise ValueError(
            f"{name} takes uint8 images (n, height, width, 3), X is "
            f"{getattr(X, 'dtype', type(X).__name__)} {shape}"
        )
    if shape[0] < 1:
        raise ValueError(f"{name} needs images, X has none")
    return shape[1:]
