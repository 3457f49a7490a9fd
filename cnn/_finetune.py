"""Pretrained backbones as networks to train. Importing this module loads TensorFlow."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from sklearn.linear_model import LogisticRegression

from cnn._base import Array, Progress
from cnn._images import Images
from cnn._layers import Dropout, Step, dense_layer
from cnn._training import EVALUATION_BATCH
from featurestore import BACKBONES
from featurestore._backbones import find_weights, load_network, preprocess

PROBE_C = 0.01  # inverse penalty on features of unit spread


def build(backbone: str, side: int, classes: int, dropout: float, step: Step) -> Any:
    """Return a keras.Model from float pixels (batch, side, side, 3) to logits (batch, classes).

    Raises
    ------
    ValueError
        If there is no such backbone.
    BackboneError
        If its weights can't be had.
    """
    if backbone not in BACKBONES:
        raise ValueError(f"no backbone is called {backbone!r}; there are {', '.join(BACKBONES)}")
    about = BACKBONES[backbone]
    network = load_network(about, side, find_weights(about))
    for layer in network.layers:
        # Untrainable, it normalises by the statistics it came with.
        layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
    image = keras.Input((side, side, 3))
    embedding = network(preprocess(about, image))  # (batch, dims)
    return keras.Model(image, dense_layer(classes, step)(Dropout(dropout, step)(embedding)))


def probe(network: Any, images: Images, codes: Array, progress: Progress) -> None:
    """Set the last layer to a logistic regression on the embeddings of images (n, side, side, 3).

    Parameters
    ----------
    network : Network
    images : Images
    codes : int (n,)
    progress : callable
    """
    model = network.model
    last = model.layers[-1]
    embed = tf.function(keras.Model(model.input, model.layers[-2].output), reduce_retracing=True)
    parts = []
    for start in range(0, len(images), EVALUATION_BATCH):
        batch = images[start : start + EVALUATION_BATCH]
        embedding = embed(network.prepare(batch), training=False)
        parts.append(tf.cast(embedding, tf.float32).numpy())
        progress(0, 1, f"embedding {start + len(batch):,} of {len(images):,} images")
    X = np.concatenate(parts)
    mean, spread = X.mean(axis=0), X.std(axis=0)
    spread = np.where(spread > 0, spread, 1)
    found = LogisticRegression(C=PROBE_C, max_iter=300).fit((X - mean) / spread, codes)
    weights, bias = found.coef_ / spread, found.intercept_
    if len(weights) == 1:  # two classes have one row: for the second, against the first
        weights, bias = np.concatenate([-weights, weights]) / 2, np.r_[-bias, bias] / 2
    bias = bias - weights @ mean
    last.kernel.assign(weights.T.astype(np.float32))
    last.bias.assign(bias.astype(np.float32))
