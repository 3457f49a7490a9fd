"""Some rows of a stored array, read when they are asked for."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import zarr

from featurestore._layout import create_pixels
from featurestore._place import place_of
from featurestore._rows import RowReader, Rows, ZarrRows
from featurestore._shards import LocalArray
from featurestore.errors import StoreDamagedError

WHOLE = np.random.default_rng(0).integers(0, 256, (600, 32, 32, 3), dtype=np.uint8)


def local(folder: Path) -> RowReader:
    create_pixels(place_of(folder), "a", WHOLE.shape, "uint8")[:] = WHOLE
    return LocalArray(folder / "a")


@contextmanager
def reading() -> Iterator[None]:
    try:
        yield
    except IndexError:
        raise
    except Exception as error:
        raise StoreDamagedError("damaged") from error


def through_zarr(folder: Path) -> RowReader:
    array = zarr.create_array(folder / "a", data=WHOLE, chunks=(8, 32, 32, 3))
    return ZarrRows(array, reading)


class Watched:
    """Notes how rows are asked for."""

    shape, dtype = WHOLE.shape, WHOLE.dtype

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def __len__(self) -> int:
        return len(WHOLE)

    def __getitem__(self, which: slice) -> npt.NDArray[Any]:
        self.asked.append((which.start, which.stop))
        return WHOLE[which]

    def take(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        self.asked.append(rows.tolist())
        return WHOLE[rows]


@pytest.mark.parametrize("reader", [local, through_zarr])
def test_they_are_the_array_s_own_rows_in_order(reader: Any, tmp_path: Path) -> None:
    chosen = np.array([0, 3, 7, 8, 9, 30, 599, 41])
    rows = Rows(reader(tmp_path), chosen)
    assert len(rows) == 8
    assert rows.shape == (8, 32, 32, 3)
    assert rows.dtype == np.uint8
    np.testing.assert_array_equal(rows[:], WHOLE[chosen])
    np.testing.assert_array_equal(rows[2:5], WHOLE[chosen[2:5]])
    np.testing.assert_array_equal(rows[::-1], WHOLE[chosen[::-1]])
    assert rows[4:4].shape == (0, 32, 32, 3)


@pytest.mark.parametrize("reader", [local, through_zarr])
def test_a_reader_reads_slices_and_rows_in_any_order(reader: Any, tmp_path: Path) -> None:
    array = reader(tmp_path)
    assert (len(array), array.shape, array.dtype) == (600, WHOLE.shape, WHOLE.dtype)
    np.testing.assert_array_equal(array[100:300], WHOLE[100:300])
    order = np.random.default_rng(1).integers(0, 600, 50)
    np.testing.assert_array_equal(array.take(order), WHOLE[order])
    assert array.take(order[:0]).shape == (0, 32, 32, 3)


def test_rows_side_by_side_are_one_slice() -> None:
    array = Watched()
    rows = Rows(array, np.array([4, 5, 6, 9, 8]))
    np.testing.assert_array_equal(rows[:3], WHOLE[4:7])
    np.testing.assert_array_equal(rows[3:4], WHOLE[9:10])
    np.testing.assert_array_equal(rows[2:], WHOLE[[6, 9, 8]])
    assert array.asked == [(4, 7), (9, 10), [6, 9, 8]]


def test_damaged_bytes_are_an_error_of_ours_through_zarr_too(tmp_path: Path) -> None:
    rows = through_zarr(tmp_path)
    (tmp_path / "a" / "c" / "3" / "0" / "0" / "0").write_bytes(b"no such codec gave this")
    for read in (lambda: rows[20:30], lambda: rows.take(np.array([25]))):
        with pytest.raises(StoreDamagedError):
            read()
    np.testing.assert_array_equal(rows[:24], WHOLE[:24])


@pytest.mark.parametrize("reader", [local, through_zarr])
def test_a_row_that_is_not_there_is_no_damage(reader: Any, tmp_path: Path) -> None:
    with pytest.raises(IndexError):
        reader(tmp_path).take(np.array([600]))
