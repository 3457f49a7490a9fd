"""Converts a backbone to a ``.tflite`` file: ``python -m featurestore._convert NAME SIZE IN OUT``.

Run as a program by ``featurestore._engines``; the last line on standard error is the reason when it
fails.
"""

import os
import sys
from pathlib import Path


def main(name: str, size: str, weights: str, target: str) -> None:
    """Convert the backbone ``name`` for images of ``size`` px."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # a conversion has no use for a GPU
    import tensorflow as tf

    from featurestore._backbones import build, get_backbone
    from featurestore.errors import BackboneError

    try:
        model = build(get_backbone(name), int(size), Path(weights))
        model = tf.keras.Model(
            fixed := tf.keras.Input(batch_shape=(1, int(size), int(size), 3), dtype="uint8"),
            model(fixed),
        )
        flat = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    except BackboneError as error:
        sys.exit(str(error))
    except Exception as error:  # the converter raises many kinds
        sys.exit(f"{name} can't be converted for LiteRT: {' '.join(str(error).split())[:300]}")
    Path(target).write_bytes(flat)


if __name__ == "__main__":
    main(*sys.argv[1:])
