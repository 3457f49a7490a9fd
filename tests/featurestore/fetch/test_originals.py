"""Kept originals."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from featurestore.errors import StoreBusyError
from featurestore.fetch import Originals


def test_what_is_kept_is_found_by_this_and_the_next_process(tmp_path: Path) -> None:
    with Originals(tmp_path) as originals:
        originals.keep("http://a/1", b"one")
        originals.keep("http://a/2", b"two")
        assert originals.find("http://a/1") == b"one"
    with Originals(tmp_path) as originals:
        assert originals.find("http://a/2") == b"two"
        assert originals.find("http://a/3") is None


def test_the_same_bytes_are_one_file(tmp_path: Path) -> None:
    with Originals(tmp_path) as originals:
        originals.keep("http://a/1", b"same")
        originals.keep("http://a/2", b"same")
    assert [p.read_bytes() for p in tmp_path.glob("??/*")] == [b"same"]


def test_a_damaged_file_is_not_taken_for_the_original(tmp_path: Path) -> None:
    with Originals(tmp_path) as originals:
        originals.keep("http://a/1", b"one")
        (path,) = tmp_path.glob("??/*")
        path.write_bytes(b"oNe")
        assert originals.find("http://a/1") is None
        originals.keep("http://a/1", b"one")
        assert originals.find("http://a/1") == b"one"


@pytest.mark.parametrize("end", [b'{"location": "http://a/2", "sh', b"\x00\xff\n", b"[]\n", b"{}"])
def test_a_damaged_line_costs_nothing_but_itself(tmp_path: Path, end: bytes) -> None:
    with Originals(tmp_path) as originals:
        originals.keep("http://a/1", b"one")
    with (tmp_path / "index.jsonl").open("ab") as index:
        index.write(end)
    with Originals(tmp_path) as originals:
        originals.keep("http://a/3", b"three")
    with Originals(tmp_path) as originals:
        assert originals.find("http://a/1") == b"one"
        assert originals.find("http://a/3") == b"three"


def test_many_threads_may_keep(tmp_path: Path) -> None:
    with Originals(tmp_path) as originals:
        threads = [
            threading.Thread(target=originals.keep, args=(f"http://a/{n}", b"x" * (n % 7)))
            for n in range(200)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with Originals(tmp_path) as originals:
        assert all(originals.find(f"http://a/{n}") == b"x" * (n % 7) for n in range(200))


def test_another_process_is_refused(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from featurestore.fetch import Originals\n"
        "with Originals(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == b"held"
        with pytest.raises(StoreBusyError, match="another process"), Originals(tmp_path):
            pass
        other.kill()
