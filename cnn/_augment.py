"""Random changes to images, in the graph. Importing this module loads TensorFlow.

Flips, shifts and reflected borders are one choice of rows and columns: two gathers of bytes, which
cost next to nothing beside a network's step.
"""

from typing import Any

import numpy as np
import tensorflow as tf


def augment(images: Any, seed: Any, shift: int, flip: bool, cutout: int) -> Any:
    """Return images, each changed in its own way.

    Parameters
    ----------
    images : uint8 (batch, side, side, 3)
    seed : int32 (2,)
        The same seed gives the same changes.
    shift : int
        The most pixels that an image moves, each way; what comes in is its own reflection.
    flip : bool
        Half of them left to right.
    cutout : int
        Side of a square of zeros put at a random place (DeVries and Taylor 2017); 0 is none.
    """
    count, side = tf.shape(images)[0], images.shape[1]
    places = tf.range(side)[None, :]  # (1, side)

    def draw(what: int, low: int, high: int) -> Any:
        """Return int32 (batch, 1) within low .. high."""
        # A seed of its own for each purpose.
        own = seed + tf.constant([0x9E37 * what, 0])
        return tf.random.stateless_uniform([count, 1], own, low, high + 1, tf.int32)

    rows, columns = places, places
    if shift:
        rows = _reflect(places + draw(1, -shift, shift), side)
        columns = _reflect(places + draw(2, -shift, shift), side)
    if flip:
        columns = tf.where(draw(3, 0, 1) == 1, side - 1 - columns, columns)
    if shift:
        images = tf.gather(images, rows, axis=1, batch_dims=1)
    if shift or flip:
        images = tf.gather(images, columns, axis=2, batch_dims=1)
    if cutout:
        top, left = draw(4, -cutout // 2, side - 1), draw(5, -cutout // 2, side - 1)
        row_in = (places >= top) & (places < top + cutout)  # (batch, side)
        column_in = (places >= left) & (places < left + cutout)
        hole = row_in[:, :, None] & column_in[:, None, :]
        images = tf.where(hole[..., None], tf.constant(0, images.dtype), images)
    return images


def mix(images: Any, targets: Any, seed: Any, strength: float) -> tuple[Any, Any]:
    """Blend each image and its targets with another's (mixup, Zhang et al. 2018).

    Parameters
    ----------
    images : float (batch, side, side, 3)
    targets : float32 (batch, classes)
    seed : int32 (2,)
    strength : float
        Both parameters of the Beta distribution that shares are drawn from.
    """
    # Beta from two Gammas.
    first, second = (
        tf.random.stateless_gamma([1], seed + tf.constant([i, 0]), strength) for i in (7, 8)
    )
    share = first / (first + second)
    share = tf.maximum(share, 1 - share)[0]
    other = tf.reverse(images, [0]), tf.reverse(targets, [0])
    of_images = tf.cast(share, images.dtype)
    return (
        of_images * images + (1 - of_images) * other[0],
        share * targets + (1 - share) * other[1],
    )


def _reflect(places: Any, side: int) -> Any:
    """Return places (..., side) beyond a border mirrored back within 0 .. side - 1."""
    period = 2 * (side - 1)
    places = tf.math.floormod(places, np.int32(period))
    return tf.minimum(places, period - places)
