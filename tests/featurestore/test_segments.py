"""Results on disk: they survive anything, and damage costs only the work in it."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from featurestore._decode import decode
from featurestore._pipeline import Result
from featurestore._place import LocalPlace
from featurestore._segments import SEGMENT_RESULTS, Segments


@pytest.fixture
def results(jpeg: Callable[..., bytes]) -> list[Result]:
    """Six results, of which the third failed."""
    made = []
    for index in range(6):
        image = decode(jpeg(index, size=(50 + index, 40)), 32, larger=(36,))
        embedding = np.full(4, index, np.float32)
        made.append(Result(index, sha256=f"{index:064x}", size=9, image=image, embedding=embedding))
    made[2] = Result(2, kind="gone", detail="404 ü", http_status=404, tries=1, seconds=0.5)
    made[2].final_url = "http://a/b"
    return made


def written(folder: Path, results: list[Result]) -> Segments:
    segments = Segments(LocalPlace(folder))
    segments.read_outcomes(6)
    for result in results:
        segments.add(result)
    segments.flush()
    return segments


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_results_come_back_as_they_went_in(tmp_path: Path, results: list[Result]) -> None:
    written(tmp_path, results[::-1])
    segments = Segments(LocalPlace(tmp_path))
    found = segments.read_outcomes(7)
    assert found.kind == ["", "", "gone", "", "", "", None]
    assert found.detail[2] == "404 ü"
    assert (found.http_status[2], found.tries[2], found.seconds[2]) == (404, 1, 0.5)
    assert found.final_url[2] == "http://a/b"
    assert found.sha256[5] == f"{5:064x}"
    assert found.width.tolist() == [50, 51, 0, 53, 54, 55, 0]
    assert found.format[0] == "JPEG"
    for i in (0, 1, 3, 4, 5):
        file, position = found.files[found.segment[i]], found.position[i]
        embeddings = segments.read_array(file, "embeddings")
        np.testing.assert_array_equal(embeddings[position], np.full(4, i))
        image = results[i].image
        assert image is not None
        thumbnails, larger = (segments.read_array(file, n) for n in ("images", "images_36"))
        np.testing.assert_array_equal(thumbnails[position], image.thumbnail)
        np.testing.assert_array_equal(larger[position], image.larger[36])
    assert (found.segment[2], found.position[2]) == (-1, -1)
    assert (found.segment[6], found.position[6]) == (-1, -1)


def test_a_record_that_was_tried_again_counts_as_the_one_with_an_image(
    tmp_path: Path, results: list[Result]
) -> None:
    for prefix, kind in (("a-", "timeout"), ("c-", "gone")):
        failed = Segments(LocalPlace(tmp_path), prefix)
        failed.add(Result(0, kind=kind))
        failed.flush()
    had = Segments(LocalPlace(tmp_path), "b-")
    had.add(results[0])
    had.flush()
    outcomes = had.read_outcomes(2)
    assert outcomes.kind == ["", None]
    assert outcomes.files[outcomes.segment[0]] == "b-00000000.npz"
    assert outcomes.sha256[0] == results[0].sha256


def test_rows_come_in_the_order_that_is_asked_for(tmp_path: Path, results: list[Result]) -> None:
    for result in results:
        written(tmp_path, [result])
    segments = Segments(LocalPlace(tmp_path))
    where = segments.read_outcomes(6).where(np.array([5, 0, 3]))
    rows = segments.read_rows("embeddings", where)
    assert rows[:, 0].tolist() == [5, 0, 3]


def test_a_segment_is_written_when_enough_results_came(tmp_path: Path) -> None:
    segments = Segments(LocalPlace(tmp_path / "s"))
    for index in range(SEGMENT_RESULTS - 1):
        segments.add(Result(index, kind="not_found"))
    assert names(tmp_path / "s") == []
    segments.add(Result(SEGMENT_RESULTS, kind="not_found"))
    assert names(tmp_path / "s") == ["00000000.npz"]


def test_a_segment_is_written_when_its_images_take_enough_room(
    tmp_path: Path, results: list[Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("featurestore._segments.SEGMENT_BYTES", 2 * 36 * 36 * 3)
    segments = Segments(LocalPlace(tmp_path))
    for count, result in zip((0, 1, 1, 1, 2, 2), results, strict=True):  # the third has no image
        segments.add(result)
        assert len(names(tmp_path)) == count
    segments.flush()
    found = Segments(LocalPlace(tmp_path)).read_outcomes(6)
    assert found.segment.tolist() == [0, 0, -1, 1, 1, 2]


def test_a_segment_is_written_when_enough_time_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("featurestore._segments.SEGMENT_SECONDS", 0.01)
    segments = Segments(LocalPlace(tmp_path))
    time.sleep(0.02)
    segments.add(Result(0, kind="not_found"))
    assert names(tmp_path) == ["00000000.npz"]


def test_a_segment_that_is_due_is_written_without_another_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segments = Segments(LocalPlace(tmp_path / "s"))
    segments.add(Result(0, kind="not_found"))
    segments.flush_if_due()
    assert names(tmp_path / "s") == []
    monkeypatch.setattr("featurestore._segments.SEGMENT_SECONDS", 0.0)
    time.sleep(0.01)
    segments.flush_if_due()
    segments.flush_if_due()
    assert names(tmp_path / "s") == ["00000000.npz"]


def test_segments_of_a_second_run_do_not_replace_the_first(
    tmp_path: Path, results: list[Result]
) -> None:
    for i in (0, 1):
        written(tmp_path, [results[i]])
    assert Segments(LocalPlace(tmp_path)).read_outcomes(3).kind == ["", "", None]


def test_a_damaged_segment_is_dropped_and_the_others_kept(
    tmp_path: Path, results: list[Result]
) -> None:
    for i in (0, 1, 3):
        written(tmp_path, [results[i]])
    path = tmp_path / "00000001.npz"
    path.write_bytes(path.read_bytes()[:-100])
    assert Segments(LocalPlace(tmp_path)).read_outcomes(4).kind == ["", None, None, ""]
    assert names(tmp_path) == ["00000000.npz", "00000002.npz"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x00" * 500, b"\x80\x04N."])
def test_a_segment_that_is_no_archive_is_dropped(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "00000000.npz").write_bytes(content)
    assert Segments(LocalPlace(tmp_path)).read_outcomes(1).kind == [None]
    assert names(tmp_path) == []


@given(data=st.data())
@hypothesis_settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_flipped_byte_never_changes_a_result(
    tmp_path: Path, results: list[Result], data: st.DataObject
) -> None:
    path = tmp_path / "00000000.npz"
    path.unlink(missing_ok=True)
    written(tmp_path, results)
    content = bytearray(path.read_bytes())
    # Most of the file is pixels; its headers and its directory are where a reader may trip.
    place = data.draw(st.integers(0, len(content) - 1) | st.integers(-1200, -1))
    content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    segments = Segments(LocalPlace(tmp_path))
    found = segments.read_outcomes(6)
    if found.kind == [None] * 6:
        return
    assert found.kind == ["", "", "gone", "", "", ""]
    assert found.sha256[1] == f"{1:064x}"
    embeddings = segments.read_array("00000000.npz", "embeddings")
    np.testing.assert_array_equal(embeddings[:, 0], [0, 1, 3, 4, 5])
    larger = [result.image.larger[36] for result in results if result.image is not None]
    np.testing.assert_array_equal(segments.read_array("00000000.npz", "images_36"), larger)


@pytest.mark.parametrize(
    "changed",
    [
        {"index": np.arange(5) + 2},
        {"index": np.arange(5) - 1},
        {"kind": np.array(b"bytes")},
        {"size": np.array(["a"] * 5)},
        {"tries": np.zeros(4, np.int32)},
        {"position": np.arange(5) + 1},
        {"detail": np.full(5, 2**31 - 1, np.uint32).view("<U1")},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_segment_of_something_else_is_dropped(
    tmp_path: Path, results: list[Result], changed: dict[str, np.ndarray]
) -> None:
    written(tmp_path, [r for r in results if not r.kind])
    path = tmp_path / "00000000.npz"
    with np.load(path) as file:
        arrays = dict(file)
    arrays["index"] = np.arange(5)
    np.savez(path, **arrays | changed)
    assert Segments(LocalPlace(tmp_path)).read_outcomes(6).kind == [None] * 6
    assert not path.exists()
