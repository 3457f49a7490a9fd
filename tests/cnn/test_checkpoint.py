"""What tells the data of one checkpoint from another's."""

from typing import Any

import numpy as np

from cnn._checkpoint import digest, images_digest


class Stored:
    """Images of a store: what is read is counted."""

    def __init__(self, images: Any) -> None:
        self._images, self.shape, self.dtype, self.read = images, images.shape, images.dtype, 0

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, rows: slice) -> Any:
        part = self._images[rows]
        self.read += len(part)
        return part


def images(count: int = 5000) -> Any:
    return np.random.default_rng(0).integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)


def test_any_image_in_memory_tells_a_set_from_others() -> None:
    X = images()
    changed = X.copy()
    changed[3210, 2, 2, 1] ^= 1
    assert images_digest(changed) != images_digest(X)
    assert images_digest(X.copy()) == images_digest(X[::-1][::-1]) == images_digest(X)
    assert images_digest(X.reshape(-1, 8, 2, 3)) != images_digest(X)


def test_of_stored_images_few_are_read_and_they_are_from_everywhere() -> None:
    X = images()
    stored = Stored(X)
    expected = images_digest(stored)
    assert 100 < stored.read < 1000
    for rows in (slice(0, 1000), slice(2000, 3000), slice(4000, 5000)):
        changed = X.copy()
        changed[rows] ^= 1
        assert images_digest(Stored(changed)) != expected
    assert images_digest(Stored(images(3))) != images_digest(Stored(images(2)))


def test_labels_in_another_order_are_others() -> None:
    assert digest(np.array([0, 1, 1])) != digest(np.array([1, 0, 1]))
