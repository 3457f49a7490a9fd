"""Images that a model tells right and wrong, with how sure it is."""

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from bench._comparison import Contender
from bench._predictions import Predictions
from featurestore import FeatureStore
from featurestore._rows import Rows

EACH = 4  # right ones of a model, and wrong ones
LARGEST = 160  # pixels a side
AS_PNG = 64  # pixels a side up to which JPEG would blur what little there is
MOST_BARS = 8


@dataclass(frozen=True)
class Example:
    """One image and what a model says of it.

    Attributes
    ----------
    image : str
        As a data URI.
    true, predicted : str
    bars : tuple of (str, float)
        Labels and their probabilities, likeliest first.
    more : int
        Labels that aren't among them.
    """

    image: str
    true: str
    predicted: str
    bars: tuple[tuple[str, float], ...]
    more: int

    @property
    def alt(self) -> str:
        """What to say to those who can't see it."""
        return f"test image, true label {self.true}, predicted {self.predicted}"


@dataclass(frozen=True)
class Wall:
    """The images of one model."""

    right: tuple[Example, ...]
    wrong: tuple[Example, ...]


def choose(found: Predictions, *, right: bool, count: int = EACH) -> list[int]:
    """Return which predictions to show: the surest, of different true labels as far as there are.

    Of labels that were all shown already, the surest again; the order is that of sureness.
    """
    sure = found.probabilities.max(axis=1)
    order = np.lexsort((found.row, -sure))
    order = order[found.hits[order] == right]
    # The surest of each label first, then all others.
    _, first = np.unique(found.label[order], return_index=True)
    new = np.zeros(len(order), bool)
    new[first] = True
    chosen = np.concatenate([np.flatnonzero(new), np.flatnonzero(~new)])[:count]
    return [int(order[i]) for i in sorted(chosen)]


def hang(
    tested: Sequence[Contender], store: FeatureStore, label_names: Sequence[str]
) -> list[Wall]:
    """Return the images of each model, by what its first seed says of them."""
    chosen = [
        [choose(model.predictions[0], right=right) for right in (True, False)] for model in tested
    ]
    rows = {
        int(model.predictions[0].row[i])
        for model, both in zip(tested, chosen, strict=True)
        for i in (*both[0], *both[1])
    }
    images = _read(store, rows)
    return [
        Wall(
            *(
                tuple(_example(model.predictions[0], i, images, label_names) for i in some)
                for some in both
            )
        )
        for model, both in zip(tested, chosen, strict=True)
    ]


def _example(
    found: Predictions, i: int, images: dict[int, str], label_names: Sequence[str]
) -> Example:
    shares = found.probabilities[i]
    order = np.argsort(-shares, kind="stable")[:MOST_BARS]
    return Example(
        images[int(found.row[i])],
        label_names[int(found.label[i])],
        label_names[int(found.predicted[i])],
        tuple((label_names[int(label)], float(shares[label])) for label in order),
        len(shares) - len(order),
    )


def _read(store: FeatureStore, rows: Iterable[int]) -> dict[int, str]:
    """Return rows of the store's largest images as data URIs."""
    ordered = sorted(rows)
    array = store.image_reader(store.image_sizes[-1])
    pixels = Rows(array, np.array(ordered, np.int64))[:]
    return {row: data_uri(image) for row, image in zip(ordered, pixels, strict=True)}


def data_uri(pixels: npt.NDArray[np.uint8]) -> str:
    """Return an image, uint8 (side, side, 3), as it stands within a page."""
    image = Image.fromarray(pixels)
    image.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    if max(image.size) <= AS_PNG:
        image.save(content, "PNG", optimize=True)
        kind = "png"
    else:
        image.save(content, "JPEG", quality=82, optimize=True)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content.getvalue()).decode()}"
