"""Exports in a folder: shards of each split, and what all of them have in common beside them."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from featurestore._records import SPLITS
from featurestore.export._content import Block, Content, encode_png

METADATA = "metadata.json"
SHARD_ROWS = 10_000  # images in a shard: 30 MB of 32 px with one embedding, 1 GB of 224 px

W = TypeVar("W")


class Row:
    """One row of an export, of which images are encoded.

    Attributes
    ----------
    number : int
        In the store.
    id : str
        The sha256 (hex) of the file that the image came from.
    label : int
    label_name, split : str
    strength : float32 (labels,)
    images : dict from px to the bytes of a PNG file
    embeddings : dict from a backbone's name to float32 (dims,)
    """

    def __init__(self, content: Content, number: int, block: Block, k: int) -> None:
        self.number = number
        self.id = block["id"][k].decode()
        self.label = int(block["labels"][k])
        self.label_name = content.label_names[self.label]
        self.split = SPLITS[block["split"][k]]
        self.strength = block["label_strength"][k]
        names = content.image_names
        self.images = {side: encode_png(block[name][k]) for side, name in names.items()}
        self.embeddings = {b: block[name][k] for b, name in content.embedding_names.items()}


def write_shards(
    content: Content,
    folder: Path,
    ending: str,
    open_shard: Callable[[Path], AbstractContextManager[W]],
    write: Callable[[W, Row], None],
) -> None:
    """Write each split's rows into shards of its own, ``<split>-00000<ending>`` and so on.

    Parameters
    ----------
    content : Content
    folder : Path
        An empty one.
    ending : str
        Such as ".tar".
    open_shard : callable
        From a path to what is written to, in a ``with`` statement.
    write : callable
        Writes a row to it.
    """
    shards: dict[str, int] = {}
    counts = dict.fromkeys(SPLITS, 0)
    with ExitStack() as stack:
        opened = {split: stack.enter_context(ExitStack()) for split in SPLITS}
        current: dict[str, W] = {}
        for row in _rows(content):
            number, within = divmod(counts[row.split], SHARD_ROWS)
            name = f"{row.split}-{number:05}{ending}"
            if not within:
                opened[row.split].close()
                current[row.split] = opened[row.split].enter_context(open_shard(folder / name))
            write(current[row.split], row)
            counts[row.split] += 1
            shards[name] = within + 1
    about: dict[str, Any] = {**content.metadata, "shards": dict(sorted(shards.items()))}
    text = json.dumps(about, indent=1, ensure_ascii=False)
    (folder / METADATA).write_text(text + "\n", encoding="utf-8", newline="\n")


def _rows(content: Content) -> Iterator[Row]:
    for start, block in content.blocks():
        for k in range(len(block["labels"])):
            yield Row(content, start + k, block, k)


def strength_list(strength: "np.ndarray[Any, Any]") -> list[float]:
    """Return shares as the shortest numbers that are the same float32: 0.8, not 0.800000011."""
    return [float(str(value)) for value in strength]
