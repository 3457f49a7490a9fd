"""Recipes: the rate by epoch, and settings that make no sense."""

from typing import Any

import pytest

from cnn import ResNet
from cnn._recipe import Recipe


def recipe(**changed: Any) -> Recipe:
    return Recipe.of(ResNet(**changed))


def test_the_rate_rises_and_then_falls_along_a_cosine() -> None:
    made = recipe(epochs=12, warmup=2.0, learning_rate=0.4, schedule="cosine")
    assert [made.rate(e, 1.0) for e in (0, 1, 2)] == pytest.approx([0, 0.2, 0.4])
    assert made.rate(7, 1.0) == pytest.approx(0.2)
    assert made.rate(12, 1.0) == pytest.approx(0)
    assert made.rate(2, 0.1) == pytest.approx(0.04)


def test_other_schedules_stay_where_they_are() -> None:
    made = recipe(epochs=10, warmup=0.0, learning_rate=0.4, schedule="plateau")
    assert [made.rate(e, f) for e, f in ((0, 1), (9, 1), (9, 0.1))] == pytest.approx(
        [0.4, 0.4, 0.04]
    )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"optimizer": "lion"}, "optimizer is 'lion'; it can be 'sgd' or 'adam'"),
        ({"schedule": "step"}, "schedule is 'step'"),
        ({"epochs": 0}, "epochs is 0; it must be at least 1"),
        ({"batch_size": 0}, "batch_size is 0; it must be at least 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recipe(**changed)
