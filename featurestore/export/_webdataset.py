"""WebDataset: tar shards in which files of the same name belong to one image."""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from featurestore.export._content import Content
from featurestore.export._shards import Row, strength_list, write_shards


def write(content: Content, target: Path) -> None:
    """Write a folder of shards ``<split>-00000.tar`` and ``metadata.json``.

    Of each image: ``<id>.png``, ``<id>.<px>.png`` for larger ones, ``<id>.cls`` (the label's
    number), ``<id>.json`` (label's name, split, strength, row) and ``<id>.<backbone>.npy``.
    """
    write_shards(content, target, ".tar", _open_shard, _write_row)


def _open_shard(path: Path) -> tarfile.TarFile:
    return tarfile.open(path, "w")


def _write_row(archive: tarfile.TarFile, row: Row) -> None:
    for ending, data in _files(row):
        member = tarfile.TarInfo(f"{row.id}.{ending}")  # dated 1970, owned by nobody in particular
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))


def _files(row: Row) -> Iterator[tuple[str, bytes]]:
    for side, png in row.images.items():
        yield ("png" if side == min(row.images) else f"{side}.png"), png
    yield "cls", str(row.label).encode()
    about = {
        "label": row.label_name,
        "split": row.split,
        "strength": strength_list(row.strength),
        "row": row.number,
    }
    yield "json", json.dumps(about, ensure_ascii=False).encode()
    for backbone, embedding in row.embeddings.items():
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, embedding, allow_pickle=False)
        yield f"{backbone}.npy", buffer.getvalue()
