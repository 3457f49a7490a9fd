"""Pretrained backbones: which there are, their weights, and how to build one.

Keras is imported only where a network is built; looking one up costs nothing.
"""

import functools
import hashlib
import importlib
import os
import warnings
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import platformdirs

from featurestore.errors import BackboneError


@dataclass(frozen=True)
class Backbone:
    """A network of keras.applications without its top, ending in a global average pool.

    Attributes
    ----------
    name : str
        What commands and stores call it.
    module, builder : str
        Where keras.applications has its preprocessing, and what it calls it.
    size : int
        Side of the images that it was trained on, px.
    dims : int
        Length of its embedding.
    shipped : str
        File name of the weights that come with this package, or "".
    """

    name: str
    module: str
    builder: str
    size: int
    dims: int
    shipped: str = ""


BACKBONES = {
    b.name: b
    for b in (
        Backbone(
            "mobilenet", "mobilenet", "MobileNet", 224, 1024,
            shipped="mobilenet_v1_1.0_224_notop.weights.h5",
        ),
        Backbone("densenet121", "densenet", "DenseNet121", 224, 1024),
        Backbone("convnext_base", "convnext", "ConvNeXtBase", 224, 1024),
        Backbone("resnet50", "resnet", "ResNet50", 224, 2048),
        Backbone("efficientnetv2_b0", "efficientnet_v2", "EfficientNetV2B0", 224, 1280),
    )
}  # fmt: skip
DEFAULT_BACKBONE = "mobilenet"


def get_backbone(name: str) -> Backbone:
    """Return the backbone called ``name``.

    Raises
    ------
    BackboneError
        If there is none.
    """
    try:
        return BACKBONES[name]
    except KeyError:
        known = ", ".join(BACKBONES)
        raise BackboneError(f"no backbone is called {name!r}; there are {known}") from None


def find_weights(backbone: Backbone, given: Path | None = None) -> Path:
    """Return the file with a backbone's weights.

    That is the given one; else the one shipped with this package; else the one that Keras
    downloaded earlier; else Keras downloads it now.

    Raises
    ------
    BackboneError
        If the file isn't there or the download fails.
    """
    if given is not None:
        if not given.is_file():
            raise BackboneError(f"{given}: no such weights file")
        return given
    if backbone.shipped:
        # A real file: the package is installed unzipped, as wheels are.
        return Path(str(resources.files("featurestore") / "weights" / backbone.shipped))
    saved = cache_folder() / f"{backbone.name}_imagenet_notop.weights.h5"
    if not saved.is_file():
        _download(backbone, saved)
    return saved


@functools.cache
def hash_file(path: Path) -> str:
    """Return the sha256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cache_folder() -> Path:
    """Return the folder for what can be made again: converted networks, downloaded weights."""
    return platformdirs.user_cache_path("emotion-bench")


def build(backbone: Backbone, size: int, weights: Path) -> Any:
    """Build a backbone with its preprocessing, as a Keras model.

    Parameters
    ----------
    backbone : Backbone
    size : int
        Side of the input, px.
    weights : Path
        A ``.weights.h5`` file of the network without its top, or an ``.h5`` as Keras distributes.

    Returns
    -------
    keras.Model
        From uint8 (batch, size, size, 3), RGB, to float32 (batch, dims).

    Raises
    ------
    BackboneError
        If the weights don't fit.
    """
    import keras

    network = load_network(backbone, size, weights)
    network.trainable = False
    image = keras.Input((size, size, 3), dtype="uint8", name="image")
    x = keras.ops.cast(image, "float32")
    pixels = preprocess(backbone, x)
    return keras.Model(image, network(pixels, training=False), name=backbone.name)


def preprocess(backbone: Backbone, pixels: Any) -> Any:
    """Return what a backbone takes, float (batch, size, size, 3), from RGB within 0..255."""
    return importlib.import_module(f"keras.applications.{backbone.module}").preprocess_input(pixels)


def load_network(backbone: Backbone, size: int, weights: Path) -> Any:
    """Return a backbone without its preprocessing, as a keras.Model that can be trained.

    From float (batch, size, size, 3), preprocessed, to float32 (batch, dims).

    Raises
    ------
    BackboneError
        If the weights don't fit.
    """
    network = _network(backbone, size)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a line for each layer, before the error that counts
            network.load_weights(weights)
    except (ValueError, OSError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BackboneError(
            f"{weights}: can't be loaded into {backbone.name} without its top: {reason}"
        ) from error
    return network


def _network(backbone: Backbone, size: int, weights: str | None = None) -> Any:
    import keras

    builder = getattr(keras.applications, backbone.builder)
    return builder(weights=weights, include_top=False, pooling="avg", input_shape=(size, size, 3))


def _download(backbone: Backbone, saved: Path) -> None:
    """Have Keras download the weights, and save them where ``find_weights`` looks."""
    try:
        network = _network(backbone, backbone.size, "imagenet")
    except Exception as error:  # urllib, ssl and Keras each raise their own
        raise BackboneError(
            f"the ImageNet weights of {backbone.name} can't be downloaded "
            f"({' '.join(str(error).split())[:150]}): on a machine with network run "
            f"keras.applications.{backbone.builder}(include_top=False).save_weights("
            f"'{backbone.name}.weights.h5'), copy the file here and give --weights FILE, "
            "or use --backbone mobilenet, which needs none"
        ) from error
    saved.parent.mkdir(parents=True, exist_ok=True)
    # Another process may be at it, too; and Keras asks for this ending.
    partial = saved.with_name(f"partial-{os.getpid()}-{saved.name}")
    try:
        network.save_weights(partial)
        partial.replace(saved)
    finally:
        partial.unlink(missing_ok=True)
