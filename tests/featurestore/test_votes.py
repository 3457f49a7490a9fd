"""Which emotion an image is kept for, and how strong each is."""

from collections.abc import Sequence

import numpy as np
import pytest

from featurestore._votes import KeepRule, strength


@pytest.mark.parametrize(
    ("agree", "disagree", "label"),
    [
        ([3, 0], [2, 0], 0),
        ([2, 0], [2, 0], -1),
        ([2, 0], [3, 0], -1),
        ([0, 0], [0, 0], -1),
        ([0, 0], [0, 4], -1),
        ([4, 5], [1, 0], 1),
        ([2, 5], [0, 3], 1),
        ([3, 3], [1, 1], 0),
        ([1, 4], [3, 1], 1),
    ],
)
def test_majority_keeps_the_emotion_with_the_largest_lead(
    agree: Sequence[int], disagree: Sequence[int], label: int
) -> None:
    assert KeepRule().label(agree, disagree) == label


@pytest.mark.parametrize(
    ("agree", "disagree", "label"),
    [
        ([2, 0], [2, 0], 0),
        ([0, 0], [0, 5], 1),
        ([0, 0], [0, 0], -1),
        ([0, 1], [5, 5], 1),
    ],
)
def test_all_keeps_every_emotion_somebody_was_asked_about(
    agree: Sequence[int], disagree: Sequence[int], label: int
) -> None:
    assert KeepRule("all").label(agree, disagree) == label


@pytest.mark.parametrize("rule", ["majority", "all"])
@pytest.mark.parametrize(("agree", "label"), [(2, -1), (3, 1)])
def test_min_agree_is_the_fewest_agreeing_votes(rule: str, agree: int, label: int) -> None:
    assert KeepRule(rule, min_agree=3).label([0, agree], [0, 0]) == label  # type: ignore[arg-type]


def test_an_emotion_below_min_agree_leaves_the_label_to_another() -> None:
    assert KeepRule(min_agree=4).label([3, 5], [0, 4]) == 1


def test_strength_is_the_share_of_people_who_agree() -> None:
    shares = strength(np.array([[3, 1, 0], [0, 0, 5]]), np.array([[1, 1, 0], [2, 0, 0]]))
    assert shares.dtype == np.float32
    np.testing.assert_array_equal(shares, [[0.75, 0.5, 0.0], [0.0, 0.0, 1.0]])
