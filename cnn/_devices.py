"""What networks are trained on. Importing this module loads TensorFlow."""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

BFLOAT16_SINCE = (8, 0)  # compute capability of the first NVIDIA GPUs that are fast with it


@functools.cache
def strategy() -> Any:
    """Return how a step is spread: over all GPUs where there are several, else not at all."""
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def policy() -> str:
    """Return Keras' dtype policy: bfloat16 on GPUs that have it, else float32.

    Unlike float16 it has float32's range, so that losses need no scaling.
    """
    details = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
    capabilities = [about.get("compute_capability", (0, 0)) for about in details]
    able = capabilities and min(capabilities) >= BFLOAT16_SINCE
    return "mixed_bfloat16" if able else "float32"


@contextlib.contextmanager
def building() -> Iterator[None]:
    """Have what is built in this context computed as the devices do best."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy())
    try:
        with strategy().scope():
            yield
    finally:
        keras.config.set_dtype_policy(before)
