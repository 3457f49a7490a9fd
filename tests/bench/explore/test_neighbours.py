"""Nearest neighbours are those of a plain computation."""

import threading

import numpy as np
import pytest

from bench.explore._neighbours import READ_ROWS, Neighbours


def by_hand(rows: np.ndarray, query: np.ndarray, without: int | None, count: int) -> list[int]:
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
    products = rows.astype(np.float64) @ query.astype(np.float64)
    near = products / np.where(lengths > 0, lengths, 1) / np.linalg.norm(query)
    order = sorted(range(len(rows)), key=lambda row: (-round(near[row], 6), row))
    return [row for row in order if row != without][:count]


@pytest.mark.parametrize("count", [1, 12, 500])
def test_they_are_those_of_a_plain_computation(count: int) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, 33)).astype(np.float32)
    neighbours = Neighbours(rows)
    for row in (0, 7, 399):
        found, near = neighbours.of_row(row, count)
        assert found.tolist() == by_hand(rows, rows[row], row, count)
        assert (np.diff(near) <= 0).all()
        query = rng.normal(size=33).astype(np.float32)
        found, near = neighbours.of(query, count)
        assert found.tolist() == by_hand(rows, query, None, count)
        units = rows[found] / np.linalg.norm(rows[found], axis=1, keepdims=True)
        np.testing.assert_allclose(near, units @ query / np.linalg.norm(query), atol=1e-6)


def test_equally_near_rows_come_as_stored_wherever_they_stand() -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(5003, 37)).astype(np.float32)
    same = np.array([3, 700, 701, 2048, 4999, 5002])
    rows[same] = rows[3] * np.array([1, 2, 4, 8, 0.5, 1], np.float32)[:, None]
    found, near = Neighbours(rows).of_row(2048, 4)
    assert found.tolist() == [3, 700, 701, 4999]
    np.testing.assert_allclose(near, 1, atol=1e-6)
    found, _ = Neighbours(rows).of(rows[3], 3)
    assert found.tolist() == [3, 700, 701]


def test_all_alike() -> None:
    found, near = Neighbours(np.ones((9000, 3), np.float32)).of_row(5, 7)
    assert found.tolist() == [0, 1, 2, 3, 4, 6, 7]
    assert (near <= 1).all()


def test_fewer_rows_than_asked_for() -> None:
    rows = np.eye(3, dtype=np.float32)
    assert Neighbours(rows).of_row(1, 12)[0].tolist() == [0, 2]
    assert Neighbours(rows).of(rows[1], 12)[0].tolist() == [1, 0, 2]
    assert len(Neighbours(rows[:1]).of_row(0, 12)[0]) == 0


def test_embeddings_of_zeros_are_like_nothing() -> None:
    rows = np.array([[0, 0], [1, 0], [0, 0]], np.float32)
    found, near = Neighbours(rows).of_row(1, 12)
    assert (found.tolist(), near.tolist()) == ([0, 2], [0, 0])
    found, near = Neighbours(rows).of(np.zeros(2, np.float32), 12)
    assert (found.tolist(), near.tolist()) == ([0, 1, 2], [0, 0, 0])


def test_embeddings_are_read_once_and_in_parts() -> None:
    class Stored:
        shape = (2 * READ_ROWS + 5, 4)

        def __init__(self) -> None:
            self.read: list[int] = []

        def __getitem__(self, part: slice) -> np.ndarray:
            self.read.append(part.start)
            return np.ones(self.shape, np.float32)[part]

    stored = Stored()
    neighbours = Neighbours(stored)
    assert stored.read == []
    threads = [threading.Thread(target=neighbours.of_row, args=(0, 3)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stored.read == [0, READ_ROWS, 2 * READ_ROWS]
