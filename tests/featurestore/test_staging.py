"""The staging folder: one process at a time, with the settings that it was begun with."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from featurestore._pipeline import Result
from featurestore._place import LocalPlace
from featurestore._segments import Segments
from featurestore._staging import Staging, refuse_difference
from featurestore.errors import StoreBusyError, StoreDamagedError, StoreMismatchError


def test_same_settings_go_on_and_others_are_named(tmp_path: Path) -> None:
    with Staging(LocalPlace(tmp_path)) as staging:
        staging.begin({"seed": 0, "split": "80/10/10"})
        staging.begin({"seed": 0, "split": "80/10/10"})
        with pytest.raises(StoreMismatchError, match="made with seed = 0, now it is 1"):
            staging.begin({"seed": 1, "split": "80/10/10"})


def test_what_came_too_late_for_an_earlier_extraction_is_removed(tmp_path: Path) -> None:
    segments = Segments(LocalPlace(tmp_path / ".staging" / "segments" / "mobilenet"))
    segments.add(Result(index=0, kind="gone"))
    with Staging(LocalPlace(tmp_path)) as staging:
        segments.flush()  # a worker that outlived its command
        staging.begin({"seed": 0})
        assert segments.read_outcomes(1).kind == [None]
        segments.add(Result(index=0, kind="gone"))
        segments.flush()
        staging.begin({"seed": 0})
        assert segments.read_outcomes(1).kind == ["gone"]


@pytest.mark.parametrize("content", [b'{"seed": \xff', b"[]", b"7", b"[" * 100_000])
def test_damaged_settings_are_one_line(tmp_path: Path, content: bytes) -> None:
    with Staging(LocalPlace(tmp_path)) as staging:
        staging.begin({"seed": 0})
        (tmp_path / ".staging" / "settings.json").write_bytes(content)
        with pytest.raises(StoreDamagedError, match=r"settings\.json: can't be read") as caught:
            staging.begin({"seed": 0})
    assert "\n" not in str(caught.value)


def test_a_setting_that_one_side_lacks_is_a_difference() -> None:
    with pytest.raises(StoreMismatchError, match="engine"):
        refuse_difference(LocalPlace(Path("s")), {"seed": 0}, {"seed": 0, "engine": "litert"})
    with pytest.raises(StoreMismatchError, match="engine"):
        refuse_difference(LocalPlace(Path("s")), {"seed": 0, "engine": "litert"}, {"seed": 0})


def test_a_changed_source_is_told_in_words() -> None:
    with pytest.raises(StoreMismatchError, match="made from other records"):
        refuse_difference(
            LocalPlace(Path("s")), {"source_fingerprint": "a"}, {"source_fingerprint": "b"}
        )


def test_another_process_is_refused_at_once_and_let_in_afterwards(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from featurestore._place import LocalPlace\n"
        "from featurestore._staging import Staging\n"
        "with Staging(LocalPlace(Path(sys.argv[1]))): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == b"held"
        start = time.monotonic()
        with pytest.raises(StoreBusyError, match="another process"), Staging(LocalPlace(tmp_path)):
            pass
        assert time.monotonic() - start < 1
        other.kill()
    with Staging(LocalPlace(tmp_path)) as staging:
        assert staging.settings() is None


def test_remove_leaves_no_trace(tmp_path: Path) -> None:
    with Staging(LocalPlace(tmp_path)) as staging:
        staging.begin({"seed": 0})
        segments = Segments(staging.place.within("segments/mobilenet"))
        segments.add(Result(0, kind="not_found"))
        segments.flush()
        segments.add(Result(1, kind="not_found"))
        staging.remove()
    assert list(tmp_path.iterdir()) == []


def test_another_task_than_the_unfinished_one_is_named(tmp_path: Path) -> None:
    with Staging(LocalPlace(tmp_path)) as staging:
        staging.begin({"task": "make a store"})
        with pytest.raises(StoreMismatchError, match="was to make a store, now it is to add"):
            staging.begin({"task": "add a backbone"})
