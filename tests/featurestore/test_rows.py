"""Some rows of a stored array, read when they are asked for."""

from pathlib import Path

import numpy as np
import zarr

from featurestore._rows import Rows


def test_they_are_the_array_s_own_rows_in_order(tmp_path: Path) -> None:
    whole = np.random.default_rng(0).integers(0, 256, (50, 4, 4, 3), dtype=np.uint8)
    array = zarr.create_array(tmp_path / "a", data=whole, chunks=(8, 4, 4, 3))
    chosen = np.array([0, 3, 7, 8, 9, 30, 49])
    rows = Rows(array, chosen)
    assert len(rows) == 7
    assert rows.shape == (7, 4, 4, 3)
    assert rows.dtype == np.uint8
    np.testing.assert_array_equal(rows[:], whole[chosen])
    np.testing.assert_array_equal(rows[2:5], whole[chosen[2:5]])
    assert rows[4:4].shape == (0, 4, 4, 3)
