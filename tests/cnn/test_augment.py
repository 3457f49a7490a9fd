"""Random changes to images: what they may and may not do."""

import numpy as np
import numpy.typing as npt
import pytest

from featurestore._tensorflow import load_tensorflow

tf = load_tensorflow()

from cnn._augment import augment, mix  # noqa: E402  # TensorFlow first, without its greetings

Array = npt.NDArray[np.uint8]
SIDE = 8


def images(count: int = 64) -> Array:
    rng = np.random.default_rng(0)
    return rng.integers(1, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)


def changed(given: Array, seed: int = 0, **how: int) -> Array:
    settings = {"shift": 0, "flip": False, "cutout": 0} | how
    return augment(tf.constant(given), tf.constant([seed, 0]), **settings).numpy()  # type: ignore[no-any-return]


def test_without_changes_images_stay() -> None:
    np.testing.assert_array_equal(changed(images()), images())


def test_about_half_are_mirrored_and_nothing_else() -> None:
    given = images(400)
    found = changed(given, flip=True)
    mirrored = (found == given[:, :, ::-1]).all(axis=(1, 2, 3))
    same = (found == given).all(axis=(1, 2, 3))
    assert (mirrored ^ same).all()
    assert 150 < mirrored.sum() < 250


def test_shifts_are_windows_of_the_image_with_reflected_borders() -> None:
    given = images(200)
    found = changed(given, shift=2)
    padded = np.pad(given, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect")
    places = set()
    for image, wide in zip(found, padded, strict=True):
        matches = [
            (top, left)
            for top in range(5)
            for left in range(5)
            if (image == wide[top : top + SIDE, left : left + SIDE]).all()
        ]
        assert len(matches) == 1
        places.add(matches[0])
    assert len(places) == 25  # all of them come up in 200 images


def test_cutout_puts_a_square_of_zeros_somewhere() -> None:
    found = changed(images(200), cutout=4)
    holes = (found == 0).all(axis=3)
    for hole in holes:
        rows, columns = hole.any(axis=1), hole.any(axis=0)
        assert (hole == np.outer(rows, columns)).all()
        assert 0 < rows.sum() <= 4
        assert 0 < columns.sum() <= 4
    assert (holes.sum(axis=(1, 2)) == 16).sum() > 30


def test_the_same_seed_gives_the_same_changes_and_another_others() -> None:
    how = {"shift": 2, "flip": True, "cutout": 3}
    first = changed(images(), 5, **how)
    np.testing.assert_array_equal(first, changed(images(), 5, **how))
    assert not np.array_equal(first, changed(images(), 6, **how))


def test_mixing_blends_images_and_targets_alike() -> None:
    given, targets = images(16).astype(np.float32), np.eye(16, dtype=np.float32)
    mixed, shares = (x.numpy() for x in mix(given, targets, tf.constant([3, 0]), 0.5))
    share = shares[0, 0]
    assert 0.5 <= share < 1
    np.testing.assert_allclose(shares, share * targets + (1 - share) * targets[::-1], rtol=1e-5)
    np.testing.assert_allclose(mixed, share * given + (1 - share) * given[::-1], rtol=1e-4)


@pytest.mark.parametrize("shift", [1, 3, 7])
def test_a_shift_never_leaves_the_image(shift: int) -> None:
    assert changed(images(), shift=shift).min() > 0
