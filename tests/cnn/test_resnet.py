"""Residual networks: sizes as published."""

from typing import Any

import numpy as np
import pytest

from cnn import ResNet
from featurestore._tensorflow import load_tensorflow

tf = load_tensorflow()

from cnn._layers import Step  # noqa: E402
from cnn.resnet import build_resnet  # noqa: E402

# Parameters with 1000 classes as torchvision publishes them, and those of its batch normalisation,
# which stands in other places there (after convolutions, and after projections too).
PUBLISHED = {
    18: (11_689_512, 9_600),
    34: (21_797_672, 17_024),
    50: (25_557_032, 53_120),
    101: (44_549_160, 105_344),
    152: (60_192_808, 151_424),
}


def parts(depth: int, stem: str = "imagenet", classes: int = 1000) -> tuple[Any, int, int]:
    """Return a network, its parameters in convolutions and the last layer, and all others."""
    model = build_resnet(depth, stem, (32, 32, 3), classes, 0.0, Step(0))
    counts = {True: 0, False: 0}
    for variable in model.trainable_variables:
        norm = "batch_norm" in variable.path
        counts[norm] += int(np.prod(variable.shape))
    return model, counts[False], counts[True]


@pytest.mark.parametrize("depth", [18, 34, pytest.param(50, marks=pytest.mark.slow)])
def test_parameters_are_the_published_ones(depth: int) -> None:
    check_parameters(depth)


@pytest.mark.slow
@pytest.mark.parametrize("depth", [101, 152])
def test_parameters_of_the_deepest_are_the_published_ones(depth: int) -> None:
    check_parameters(depth)


def check_parameters(depth: int) -> None:
    published, of_norms = PUBLISHED[depth]
    _, kernels, norms = parts(depth)
    assert kernels == published - of_norms
    assert norms == pytest.approx(of_norms, rel=0.25)
    assert kernels + norms == pytest.approx(published, rel=1e-3)


def test_with_ten_classes_it_has_11_2_million() -> None:
    _, kernels, norms = parts(18, classes=10)
    assert round((kernels + norms) / 1e6, 1) == 11.2


def test_stems_differ_in_size_by_four_each_way() -> None:
    sides = {}
    for stem in ("imagenet", "cifar"):
        model, _, _ = parts(18, stem, 10)
        adds = [layer for layer in model.layers if isinstance(layer, tf.keras.layers.Add)]
        sides[stem] = [layer.output.shape[1] for layer in adds[1::2]]
    assert sides == {"imagenet": [8, 4, 2, 1], "cifar": [32, 16, 8, 4]}


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"depth": 20}, "depth is 20; it can be 18, 34, 50"), ({"stem": "odd"}, "stem is 'odd'")],
)
def test_networks_that_there_are_not_are_refused(changed: dict[str, Any], message: str) -> None:
    X = np.zeros((4, 32, 32, 3), np.uint8)
    with pytest.raises(ValueError, match=message):
        ResNet(**changed).fit(X, np.arange(4) % 2)
