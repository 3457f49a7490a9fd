"""Kept originals."""

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from featurestore.errors import StoreBusyError
from featurestore.fetch import Originals
from featurestore.fetch._originals import Original


def keep(originals: Originals, location: str, data: bytes) -> None:
    originals.keep(location, Original(data, 200, f"{location}/final"))


def find(originals: Originals, location: str) -> bytes | None:
    found = originals.find(location)
    return None if found is None else found.data


def index_of(folder: Path, *lines: object) -> None:
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "index.jsonl").write_text(text)


def test_what_is_kept_is_found_by_this_and_the_next_process(tmp_path: Path) -> None:
    with Originals(tmp_path) as originals:
        keep(originals, "http://a/1", b"one")
        keep(originals, "http://a/2", b"two")
        assert find(originals, "http://a/1") == b"one"
    with Originals(tmp_path) as originals:
        assert find(originals, "http://a/2") == b"two"
        assert find(originals, "http://a/3") is None


def test_the_same_bytes_are_one_file(tmp_path: Path) -> None:
    with Originals(tmp_path) as originals:
        keep(originals, "http://a/1", b"same")
        keep(originals, "http://a/2", b"same")
    assert [p.read_bytes() for p in tmp_path.glob("??/*")] == [b"same"]


def test_a_damaged_file_is_not_taken_for_the_original(tmp_path: Path) -> None:
    with Originals(tmp_path) as originals:
        keep(originals, "http://a/1", b"one")
        (path,) = tmp_path.glob("??/*")
        path.write_bytes(b"oNe")
        assert find(originals, "http://a/1") is None
        keep(originals, "http://a/1", b"one")
        assert find(originals, "http://a/1") == b"one"


def test_the_answer_is_found_with_the_bytes(tmp_path: Path) -> None:
    original = Original(b"one", 203, "http://b/1")
    with Originals(tmp_path) as originals:
        originals.keep("http://a/1", original)
    with Originals(tmp_path) as originals:
        assert originals.find("http://a/1") == original


def test_a_line_of_an_older_version_has_no_answer(tmp_path: Path) -> None:
    with Originals(tmp_path) as originals:
        keep(originals, "http://a/1", b"one")
    index_of(tmp_path, {"location": "http://a/1", "sha256": sha256(b"one").hexdigest()})
    with Originals(tmp_path) as originals:
        assert originals.find("http://a/1") == Original(b"one", 0, "")


def test_an_index_of_somebody_else_leads_to_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    folder = tmp_path / "originals"
    folder.mkdir()
    good = sha256(b"secret").hexdigest()
    names = (str(tmp_path / "secret"), "../secret", "../../secret", 5, None, [good], good.upper())
    lines = [{"location": f"http://a/{k}", "sha256": name} for k, name in enumerate(names)]
    index_of(folder, *lines, {"location": 5, "sha256": good})
    with Originals(folder) as originals:
        assert not any(originals.find(line["location"]) for line in lines)  # type: ignore[arg-type]
    assert (tmp_path / "secret").read_bytes() == b"secret"


@pytest.mark.parametrize(
    "answer", [{"http_status": "200"}, {"http_status": 2**40}, {"final_url": ["http://b"]}]
)
def test_an_answer_that_is_none_is_passed_over(tmp_path: Path, answer: dict[str, object]) -> None:
    with Originals(tmp_path) as originals:
        keep(originals, "http://a/1", b"one")
    index_of(tmp_path, {"location": "http://a/1", "sha256": sha256(b"one").hexdigest()} | answer)
    with Originals(tmp_path) as originals:
        assert originals.find("http://a/1") is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
@pytest.mark.timeout(10)
def test_a_named_pipe_is_kept_anew_and_nobody_waits(tmp_path: Path) -> None:
    with Originals(tmp_path) as originals:
        keep(originals, "http://a/1", b"one")
        (path,) = tmp_path.glob("??/*")
        path.unlink()
        os.mkfifo(path)
        assert find(originals, "http://a/1") is None
        keep(originals, "http://a/1", b"one")
        assert path.read_bytes() == b"one"


def test_many_threads_may_find_one_damaged_file(tmp_path: Path) -> None:
    with Originals(tmp_path) as originals, ThreadPoolExecutor(8) as pool:
        for round in range(5):
            data = bytes([round]) * 1_000_000
            locations = [f"http://a/{round}/{k}" for k in range(8)]
            for location in locations:
                keep(originals, location, data)
            digest = sha256(data).hexdigest()
            (tmp_path / digest[:2] / digest).write_bytes(b"x" * 1_000_000)
            assert list(pool.map(find, [originals] * 8, locations)) == [None] * 8


@pytest.mark.parametrize(
    "end",
    [b'{"location": "http://a/2", "sh', b"\x00\xff\n", b"[]\n", b"{}", b"[" * 100_000 + b"\n"],
    ids=["cut", "bytes", "list", "empty", "deep"],
)
def test_a_damaged_line_costs_nothing_but_itself(tmp_path: Path, end: bytes) -> None:
    with Originals(tmp_path) as originals:
        keep(originals, "http://a/1", b"one")
    with (tmp_path / "index.jsonl").open("ab") as index:
        index.write(end)
    with Originals(tmp_path) as originals:
        keep(originals, "http://a/3", b"three")
    with Originals(tmp_path) as originals:
        assert find(originals, "http://a/1") == b"one"
        assert find(originals, "http://a/3") == b"three"


def test_many_threads_may_keep(tmp_path: Path) -> None:
    with Originals(tmp_path) as originals:
        threads = [
            threading.Thread(target=keep, args=(originals, f"http://a/{n}", b"x" * (n % 7)))
            for n in range(200)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with Originals(tmp_path) as originals:
        assert all(find(originals, f"http://a/{n}") == b"x" * (n % 7) for n in range(200))


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
