"""Which images are shown, and how they get into the page."""

import base64
import io

import numpy as np
import pytest
from PIL import Image
from results_examples import result

from bench import _comparison  # "Contender" alone looks like tests to pytest
from bench._gallery import choose, data_uri, hang
from bench._predictions import Predictions
from bench._statistics import Summary
from featurestore import FeatureStore


def predictions(labels: list[int], guesses: list[int], sure: list[float]) -> Predictions:
    """Return predictions of three labels; the rest goes to the two others alike."""
    n = len(labels)
    probabilities = np.repeat((1 - np.array(sure, np.float32))[:, None] / 2, 3, axis=1)
    probabilities[np.arange(n), guesses] = sure
    return Predictions(
        np.array(["test"] * n),
        np.array([f"{i:016}" for i in range(n)]),
        np.arange(n),
        np.array(labels),
        probabilities,
    )


def test_the_surest_of_different_labels_come_first() -> None:
    found = predictions([0, 0, 0, 1, 2], [0, 0, 0, 1, 2], [0.9, 0.99, 0.95, 0.6, 0.7])
    assert choose(found, right=True, count=3) == [1, 4, 3]


def test_labels_come_again_where_there_are_too_few() -> None:
    found = predictions([0, 0, 0, 1], [0, 0, 0, 1], [0.9, 0.99, 0.95, 0.6])
    assert choose(found, right=True, count=3) == [1, 2, 3]


def test_right_and_wrong_are_told_apart_and_may_be_few_or_none() -> None:
    found = predictions([0, 1, 2], [0, 0, 0], [0.8, 0.7, 0.9])
    assert choose(found, right=True) == [0]
    assert choose(found, right=False) == [2, 1]
    assert choose(predictions([0], [0], [0.8]), right=False) == []


def test_of_equally_sure_ones_the_first_row_comes_first() -> None:
    found = predictions([0, 1, 0, 1], [0, 1, 0, 1], [0.8] * 4)
    assert choose(found, right=True, count=2) == [0, 1]


@pytest.mark.parametrize(
    ("side", "shown", "kind"), [(32, 32, "png"), (128, 128, "jpeg"), (224, 160, "jpeg")]
)
def test_an_image_is_no_larger_than_it_is_shown(side: int, shown: int, kind: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    uri = data_uri(pixels)
    head, _, content = uri.partition(",")
    assert head == f"data:image/{kind};base64"
    image = Image.open(io.BytesIO(base64.b64decode(content)))
    assert image.size == (shown, shown)
    if kind == "png":
        np.testing.assert_array_equal(np.asarray(image), pixels)


def test_models_images_are_those_of_their_rows(sample_store: FeatureStore) -> None:
    rows = sample_store.rows("test")[:3]
    found = predictions([0, 1, 2], [0, 1, 1], [0.9, 0.8, 0.7])
    found = Predictions(found.split, found.image, rows, found.label, found.probabilities)
    model = _comparison.Contender(Summary((result(),)), (result(),), (found,))
    (wall,) = hang([model], sample_store, ("a", "b", "c"))
    assert [(e.true, e.predicted) for e in wall.right] == [("a", "a"), ("b", "b")]
    (wrong,) = wall.wrong
    assert wrong.alt == "test image, true label c, predicted b"
    assert wrong.image == data_uri(np.asarray(sample_store.images[int(rows[2])]))
    assert [label for label, _ in wrong.bars] == ["b", "a", "c"]
    assert sum(share for _, share in wrong.bars) == pytest.approx(1)
    assert wrong.more == 0


def test_of_many_labels_the_likeliest_are_shown(sample_store: FeatureStore) -> None:
    probabilities = np.random.default_rng(0).dirichlet(np.ones(30), 1).astype(np.float32)
    one = np.array([0])
    found = Predictions(np.array(["test"]), np.array(["0"]), one, one, probabilities)
    model = _comparison.Contender(Summary((result(),)), (result(),), (found,))
    (wall,) = hang([model], sample_store, [f"label {number}" for number in range(30)])
    (example,) = (*wall.right, *wall.wrong)
    shares = [share for _, share in example.bars]
    assert len(shares) == 8
    assert example.more == 22
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == probabilities.max()


def test_without_models_there_is_nothing_to_show(sample_store: FeatureStore) -> None:
    assert hang([], sample_store, ()) == []
