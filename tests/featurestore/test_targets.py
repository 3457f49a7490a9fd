"""Labels and votes as what a model learns from."""

import numpy as np
import pytest

from featurestore._targets import check_soft_labels, training_targets

CODES, CLASSES = np.array([0, 0, 0, 1]), np.array(["awe", "fear"])


def test_without_votes_or_weights_they_are_one_hot() -> None:
    found = training_targets(CODES, None, None, CLASSES)
    assert found.tolist() == [[1, 0], [1, 0], [1, 0], [0, 1]]


def test_balanced_classes_have_the_same_total() -> None:
    found = training_targets(CODES, None, "balanced", CLASSES)
    np.testing.assert_allclose(found.sum(axis=0), [2, 2])
    assert found.dtype == np.float32


def test_weights_by_label_scale_votes() -> None:
    votes = np.full((4, 2), 0.5, np.float32)
    found = training_targets(CODES, votes, {"fear": 3.0}, CLASSES)
    assert found.tolist() == [[0.5, 1.5]] * 4


def test_votes_are_divided_by_their_sum() -> None:
    found = check_soft_labels(np.array([[3, 1], [0, 2]]), 2, CLASSES)
    assert found.tolist() == [[0.75, 0.25], [0, 1]]
    with pytest.raises(ValueError, match="a row without any label"):
        check_soft_labels(np.array([[3, 1], [0, 0]]), 2, CLASSES)
