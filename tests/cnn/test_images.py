"""Batches: from memory or streamed, each row once, in an order that seed and epoch decide."""

import tracemalloc

import numpy as np
import numpy.typing as npt
import pytest

from cnn._images import Batches, channel_statistics

Array = npt.NDArray[np.uint8]


def numbered(count: int, side: int = 4) -> Array:
    """Return images whose every pixel tells their row."""
    rows = np.arange(count, dtype=np.uint32)
    digits = np.stack([rows % 256, rows // 256, rows // 65536], axis=1).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(digits[:, None, None], (count, side, side, 3)))


class Stored:
    """Images that are made when they are read, and remember how many were at once."""

    dtype = np.dtype(np.uint8)

    def __init__(self, count: int, side: int) -> None:
        self.shape = (count, side, side, 3)
        self.largest = 0

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> Array:
        start, stop, _ = rows.indices(len(self))
        self.largest = max(self.largest, stop - start)
        made = np.zeros((stop - start, *self.shape[1:]), np.uint8)
        rows = np.arange(start, stop)
        made[..., 0] = (rows % 256)[:, None, None]
        made[..., 1] = (rows // 256)[:, None, None]
        return made


def row_of(images: Array) -> npt.NDArray[np.int64]:
    first = np.asarray(images)[:, 0, 0].astype(np.int64)
    return np.asarray(first[:, 0] + 256 * first[:, 1] + 65536 * first[:, 2])


@pytest.mark.parametrize("limit", [None, 4000])
def test_an_epoch_has_each_row_at_most_once_and_images_belong_to_rows(limit: int | None) -> None:
    batches = Batches(numbered(205), 20, seed=0, resident_bytes=limit)
    assert batches.resident == (limit is None)
    seen = []
    for images, rows in batches.epoch(0):
        np.testing.assert_array_equal(row_of(np.asarray(images)), rows)
        assert len(rows) == 20
        seen += rows.tolist()
    assert batches.steps == len(seen) // 20 == 10
    assert len(set(seen)) == 200


@pytest.mark.parametrize("limit", [None, 4000])
def test_the_order_depends_on_seed_and_epoch_alone(limit: int | None) -> None:
    def order(seed: int, epoch: int) -> list[int]:
        batches = Batches(numbered(200), 20, seed, resident_bytes=limit)
        return [row for _, rows in batches.epoch(epoch) for row in rows.tolist()]

    assert order(0, 3) == order(0, 3)
    assert order(0, 3) != order(0, 4)
    assert order(0, 3) != order(1, 3)
    assert order(0, 3) != sorted(order(0, 3))


def test_streamed_rows_are_shuffled_beyond_their_block() -> None:
    batches = Batches(numbered(2000), 50, seed=0, resident_bytes=32_000)
    first = next(batches.epoch(0))[1]
    assert len(np.unique(first // 20)) > 5


def test_fewer_rows_than_a_batch_are_one_batch() -> None:
    batches = Batches(numbered(7), 20, seed=0)
    assert (batches.batch, batches.steps) == (7, 1)
    assert sorted(next(batches.epoch(0))[1].tolist()) == list(range(7))


def test_streaming_holds_a_part_only() -> None:
    """60 MB of images under a limit of 4 MB."""
    stored = Stored(20_000, 32)
    batches = Batches(stored, 100, seed=0, resident_bytes=4 << 20)
    tracemalloc.start()
    count = sum(len(rows) for _, rows in batches.epoch(0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 20_000
    assert stored.largest < 100
    assert peak < 3 * (4 << 20)


def test_channel_statistics_are_those_of_the_pixels() -> None:
    images = np.random.default_rng(0).integers(0, 256, (300, 6, 6, 3), dtype=np.uint8)
    mean, spread = channel_statistics(images)
    np.testing.assert_allclose(mean, images.mean(axis=(0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(spread, images.std(axis=(0, 1, 2)), rtol=1e-4)
    black = np.zeros((3, 4, 4, 3), np.uint8)
    assert channel_statistics(black)[1].tolist() == [1, 1, 1]
