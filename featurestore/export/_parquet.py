"""Parquet, with images as Hugging Face's ``datasets`` reads them."""

import json
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from featurestore._records import SPLITS
from featurestore.export._content import Block, Content, encode_png

_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def write(content: Content, target: Path) -> None:
    """Write one file, a row group for each thousand rows or fewer.

    Columns: ``image`` and ``image_<px>`` as {bytes, path} of PNG files, ``label`` int64,
    ``label_name``, ``label_strength`` a list of float32, ``split``, ``id``,
    ``embedding_<backbone>`` a list of float32. The schema's metadata has "emotion-bench", a JSON
    text, and "huggingface", which tells ``datasets`` which columns are images and what labels are
    called.
    """
    schema = _schema(content)
    with pq.ParquetWriter(
        target, schema, compression="zstd", use_dictionary=["label_name", "split"]
    ) as writer:
        for _, block in content.blocks():
            table = pa.Table.from_arrays(_columns(content, block, schema), schema=schema)
            writer.write_table(table, row_group_size=len(table))


def _schema(content: Content) -> pa.Schema:
    """Return the columns, with what ``datasets`` calls them."""
    fields: list[tuple[str, pa.DataType]] = []
    features: dict[str, Any] = {}
    labels = {"names": list(content.label_names), "_type": "ClassLabel"}

    def add(name: str, kind: pa.DataType, feature: dict[str, Any]) -> None:
        fields.append((name, kind))
        features[name] = feature

    def numbers(name: str, length: int) -> None:
        each = {"dtype": "float32", "_type": "Value"}
        feature = {"feature": each, "length": length, "_type": "Sequence"}
        add(name, pa.list_(pa.float32(), length), feature)

    text = {"dtype": "string", "_type": "Value"}
    for name in content.image_names.values():
        add(name.replace("images", "image"), _IMAGE, {"_type": "Image"})
    add("label", pa.int64(), labels)
    add("label_name", pa.string(), text)
    numbers("label_strength", len(content.label_names))
    add("split", pa.string(), text)
    add("id", pa.string(), text)
    for backbone, name in content.embedding_names.items():
        numbers(f"embedding_{backbone}", content.columns[name].shape[1])
    metadata = {
        "emotion-bench": json.dumps(content.metadata),
        "huggingface": json.dumps({"info": {"features": features}}),
    }
    return pa.schema(fields, metadata=metadata)


def _columns(content: Content, block: Block, schema: pa.Schema) -> list[pa.Array]:
    ids = [value.decode() for value in block["id"]]
    columns = {
        "label": pa.array(block["labels"]),
        "label_name": pa.array([content.label_names[label] for label in block["labels"]]),
        "label_strength": _lists(block["label_strength"]),
        "split": pa.array([SPLITS[split] for split in block["split"]]),
        "id": pa.array(ids),
    }
    for side, name in content.image_names.items():
        # A path ends as the file would; several sizes of one image have several names.
        paths = [f"{value}_{side}.png" for value in ids]
        files = [encode_png(image) for image in block[name]]
        columns[name.replace("images", "image")] = pa.StructArray.from_arrays(
            [pa.array(files, pa.binary()), pa.array(paths)], fields=list(_IMAGE)
        )
    for backbone, name in content.embedding_names.items():
        columns[f"embedding_{backbone}"] = _lists(block[name])
    return [columns[name] for name in schema.names]


def _lists(rows: npt.NDArray[Any]) -> pa.Array:
    """Return rows (k, length) as lists of a fixed length."""
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), rows.shape[1])
