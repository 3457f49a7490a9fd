"""TFRecord shards of ``tf.train.Example``."""

from pathlib import Path
from typing import Any

from featurestore._tensorflow import load_tensorflow
from featurestore.export._content import Content
from featurestore.export._shards import Row, write_shards


def write(content: Content, target: Path) -> None:
    """Write a folder of shards ``<split>-00000.tfrecord`` and ``metadata.json``.

    Features of each Example: ``image`` and ``image_<px>`` (PNG files), ``label`` (int64),
    ``label_name``, ``label_strength`` (floats), ``split``, ``id``, ``row`` (int64) and
    ``embedding_<backbone>`` (floats).
    """
    tf = load_tensorflow()
    train = tf.train

    def texts(value: str | bytes) -> Any:
        data = value.encode() if isinstance(value, str) else value
        return train.Feature(bytes_list=train.BytesList(value=[data]))

    def number(value: int) -> Any:
        return train.Feature(int64_list=train.Int64List(value=[value]))

    def floats(values: Any) -> Any:
        return train.Feature(float_list=train.FloatList(value=values.tolist()))

    def write_row(writer: Any, row: Row) -> None:
        features = {
            "id": texts(row.id),
            "label": number(row.label),
            "label_name": texts(row.label_name),
            "label_strength": floats(row.strength),
            "row": number(row.number),
            "split": texts(row.split),
        }
        for side, png in row.images.items():
            features["image" if side == min(row.images) else f"image_{side}"] = texts(png)
        for backbone, embedding in row.embeddings.items():
            features[f"embedding_{backbone}"] = floats(embedding)
        example = train.Example(features=train.Features(feature=features))
        # The order of a map is left open otherwise.
        writer.write(example.SerializeToString(deterministic=True))

    def open_shard(path: Path) -> Any:
        return tf.io.TFRecordWriter(str(path))

    write_shards(content, target, ".tfrecord", open_shard, write_row)
