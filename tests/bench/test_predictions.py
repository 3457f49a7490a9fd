"""Predictions: read back as they were written, and readable by others."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from bench._predictions import Predictions, read_predictions, write_predictions

NAMES = ["joy", "a&b", "p_x"]


def predictions() -> Predictions:
    probabilities = np.array([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]], np.float32)
    return Predictions(
        np.array(["dev", "test"]),
        np.array(["0a", "1b"]),
        np.array([3, 1]),
        np.array([0, 1]),
        probabilities,
    )


def test_predictions_come_back(tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    write_predictions(path, predictions(), NAMES)
    found, expected = read_predictions(path), predictions()
    for name in Predictions.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
        assert getattr(found, name).dtype.kind == getattr(expected, name).dtype.kind
    assert found.predicted.tolist() == [0, 2]
    assert found.of("test").hits.tolist() == [False]


def test_others_read_names(tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    write_predictions(path, predictions(), NAMES)
    table = pq.read_table(path).to_pylist()
    assert table[0] == {
        **{"split": "dev", "image": "0a", "row": 3, "label": "joy", "predicted": "joy"},
        **{"p_joy": 0.5, "p_a&b": 0.25, "p_p_x": 0.25},
    }
    assert table[1]["predicted"] == "p_x"


def test_the_same_predictions_are_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_predictions(tmp_path / name, predictions(), NAMES)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("content", [b"", b"PAR1", b"text" * 100])
def test_anything_else_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "predictions.parquet"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="holds no predictions"):
        read_predictions(path)


def test_a_table_of_something_else_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa

    pq.write_table(pa.table({"x": [1]}), tmp_path / "x.parquet")
    with pytest.raises(ValueError, match="holds no predictions"):
        read_predictions(tmp_path / "x.parquet")


def test_predictions_that_are_gone_are_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_predictions(tmp_path / "predictions.parquet")
