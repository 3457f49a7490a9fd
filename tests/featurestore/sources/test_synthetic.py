"""The embedded sample: eight emotions, drawn by code."""

import io
from collections import Counter

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from featurestore._labels import MIKELS
from featurestore.errors import NotFound
from featurestore.sources import read_sample
from featurestore.sources._synthetic import MOODS, names, render


@pytest.fixture(scope="module")
def brightness() -> dict[str, npt.NDArray[np.float64]]:
    """The mean brightness of the first 20 pictures of each emotion."""
    return {
        emotion: np.array(
            [
                np.asarray(Image.open(io.BytesIO(render(f"sample:{emotion}/{n:04d}")))).mean()
                for n in range(20)
            ]
        )
        for emotion in MIKELS
    }


def test_there_are_at_least_150_pictures_of_each_emotion() -> None:
    count = Counter(label for _, label in names())
    assert sorted(count) == list(range(8))
    assert min(count.values()) >= 150


def test_labels_are_mikels_emotions() -> None:
    assert tuple(MOODS) == MIKELS
    assert all(name.startswith(f"sample:{MIKELS[label]}/") for name, label in names())


def test_a_name_always_gives_the_same_bytes() -> None:
    name = "sample:awe/0007"
    assert render(name) == render(name)


def test_every_name_gives_another_picture() -> None:
    some = [name for name, _ in names()][::80]
    assert len({render(name) for name in some}) == len(some)


@pytest.mark.parametrize("emotion", MIKELS)
def test_pictures_are_jpegs_of_at_least_256_pixels(emotion: str) -> None:
    for number in (0, 99, 149):
        with Image.open(io.BytesIO(render(f"sample:{emotion}/{number:04d}"))) as image:
            image.load()
            assert (image.format, image.mode) == ("JPEG", "RGB")
            assert min(image.size) >= 256


@pytest.mark.parametrize(
    ("darker", "brighter"),
    [("fear", "amusement"), ("sadness", "contentment"), ("disgust", "excitement")],
)
def test_unpleasant_emotions_are_darker_on_average_and_yet_overlap(
    brightness: dict[str, npt.NDArray[np.float64]], darker: str, brighter: str
) -> None:
    assert brightness[darker].mean() + 10 < brightness[brighter].mean()
    assert brightness[darker].max() > brightness[brighter].min()


def test_pictures_of_one_emotion_differ(brightness: dict[str, npt.NDArray[np.float64]]) -> None:
    assert all(values.std() > 5 for values in brightness.values())


def test_the_sample_is_a_source_of_them() -> None:
    source = read_sample()
    ids = [record.id for record in source.records]
    assert (source.kind, source.synthetic, source.is_fi) == ("sample", True, False)
    assert source.label_names == MIKELS
    assert ids == sorted(name for name, _ in names())
    assert all(MIKELS[r.agree.index(1)] == r.id[7:].split("/")[0] for r in source.records)
    assert source.fetch(ids[0]) == render(ids[0])


@pytest.mark.parametrize("name", ["sample:awe/9999", "sample:joy/0000", "a.jpg", ""])
def test_a_name_outside_the_sample_is_not_found(name: str) -> None:
    with pytest.raises(NotFound):
        read_sample().fetch(name)
