"""Places in an object store: what a folder does with renames, without them."""

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from featurestore import _lease, _object_place
from featurestore._commit import commit, finish_commit
from featurestore._object_place import ObjectPlace, open_url
from featurestore._pipeline import Result
from featurestore._place import LocalPlace, Place, place_of
from featurestore._segments import Segments
from featurestore._staging import Staging
from featurestore.errors import (
    FeatureStoreError,
    SourceError,
    StoreBusyError,
    StoreUnreachableError,
)


@pytest.fixture(params=["folder", "memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty place of each kind."""
    if request.param == "folder":
        return LocalPlace(tmp_path / "store")
    if request.param == "memory":
        return open_url(f"memory://{uuid4().hex}/store")
    request.getfixturevalue("s3")
    return open_url(f"s3://bucket/{uuid4().hex}/store")


@pytest.fixture(params=["memory", "s3"])
def remote(request: pytest.FixtureRequest) -> ObjectPlace:
    """An empty place of each kind but a folder."""
    if request.param == "memory":
        return open_url(f"memory://{uuid4().hex}/store")
    request.getfixturevalue("s3")
    return open_url(f"s3://bucket/{uuid4().hex}/store")


def test_what_is_written_is_read_listed_and_removed(place: Place) -> None:
    assert place.names() == place.keys() == []
    assert not place.exists("a")
    for key in ("b/2", "a", "b/1", "b/c/3"):
        place.write(key, key.encode())
    place.write("a", b"again")
    assert place.read("a") == b"again"
    with place.open("b/1") as file:
        assert (file.read(1), file.read()) == (b"b", b"/1")
    assert place.keys() == ["a", "b/1", "b/2", "b/c/3"]
    assert place.names() == ["a", "b"]
    assert place.within("b").keys() == ["1", "2", "c/3"]
    assert place.size() == len("again" + "b/1" + "b/2" + "b/c/3")
    assert place.exists("a")
    assert not place.exists("b")
    place.delete("b")
    place.delete("nothing")
    assert place.keys() == ["a"]
    place.delete("a")
    assert place.keys() == []


class MissesWhatIsGone:
    """A bucket like Azure's: removing what isn't there is an error, whatever else was asked for."""

    def __init__(self, bucket: Any) -> None:
        self._bucket = bucket

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bucket, name)

    def delete(self, paths: str | list[str]) -> None:
        for path in [paths] if isinstance(paths, str) else paths:
            self._bucket.head(path)
            self._bucket.delete(path)


def test_what_is_gone_may_be_removed_where_that_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = open_url(f"memory://{uuid4().hex}/store")
    bucket = MissesWhatIsGone(place.store)
    monkeypatch.setattr(_object_place, "_open_bucket", lambda name: bucket)
    for key in ("a", "b/1", "b/2", "c"):
        place.write(key, b"")
    with pytest.raises(FileNotFoundError):
        bucket.delete("nothing")
    for key in ("nothing", "a", "b"):
        place.delete(key)
    assert place.keys() == ["c"]


def test_a_name_that_begins_like_another_is_another(place: Place) -> None:
    place.write("images/0", b"")
    place.write("images_160/0", b"")
    assert place.within("images").keys() == ["0"]
    place.delete("images")
    assert place.keys() == ["images_160/0"]


def test_what_is_not_there_is_not_found(place: Place) -> None:
    for read in (place.read, place.open):
        with pytest.raises(FileNotFoundError):
            read("a")


def test_replacing_puts_files_in_place_and_may_be_done_again(place: Place) -> None:
    next_, keys = place.within("next"), [f"x/{i}" for i in range(40)]
    for key in keys:
        next_.write(key, b"new")
    place.write("x/1", b"old")
    for _ in range(2):
        place.replace([*keys, "not there"], next_)
    assert {place.read(key) for key in keys} == {b"new"}


def test_zarr_writes_where_the_place_says(place: Place) -> None:
    import zarr

    array = zarr.create_array(place.zarr("a/b"), shape=(3,), chunks=(3,), dtype="int64")
    array[:] = [1, 2, 3]
    assert place.keys() == ["a/b/c/0", "a/b/zarr.json"]
    zarr.create_group(place.zarr(""), attributes={"x": 1})
    assert zarr.open_group(place.zarr(""), mode="r")["a/b"][:].tolist() == [1, 2, 3]  # type: ignore[index]


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("ftp://host/x", "is no place for a store; give a path, s3://"),
        ("s3://key:secret@bucket/x", "leave credentials and options out"),
        ("s3://bucket/x?aws_secret_access_key=secret", "leave credentials and options out"),
        ("s3://bucket", "give a bucket and a name in it"),
        ("s3:///x", "give a bucket and a name in it"),
        ("s3://[x/fi.zarr", "can't be opened"),
        ("s3://bucket/a//b", "give a bucket and a name in it"),
        ("memory://bucket/..", "give a bucket and a name in it"),
        ("s3://AKIA:abc/secret@bucket/x", "leave credentials and options out"),
    ],
)
def test_a_url_that_names_no_place_is_one_line_without_secrets(url: str, what: str) -> None:
    with pytest.raises(FeatureStoreError, match=what) as caught:
        place_of(url).read("a")
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_packages_that_are_not_installed_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(SourceError, match=r"pip install 'emotion-bench\[remote\]'"):
        open_url(f"s3://{uuid4().hex}/x").read("a")


def test_a_server_that_is_not_there_is_one_line(
    monkeypatch: pytest.MonkeyPatch, s3: dict[str, str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    retry = {"max_retries": 1, "retry_timeout": timedelta(seconds=1)}
    monkeypatch.setattr(_object_place, "_RETRY", retry)
    place = open_url(f"s3://{uuid4().hex}/x")
    for call in (place.keys, lambda: place.read("a"), lambda: place.write("a", b"")):
        with pytest.raises(StoreUnreachableError, match="can't be reached") as caught:
            call()
        assert "\n" not in str(caught.value)
        assert s3["AWS_SECRET_ACCESS_KEY"] not in str(caught.value)
        assert s3["AWS_ACCESS_KEY_ID"] not in str(caught.value)


def test_a_password_in_an_endpoint_is_not_told(
    monkeypatch: pytest.MonkeyPatch, s3: dict[str, str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://user:passw@127.0.0.1:9")
    monkeypatch.setattr(_object_place, "_RETRY", {"max_retries": 0})
    with pytest.raises(StoreUnreachableError, match=r"127\.0\.0\.1") as caught:
        open_url(f"s3://{uuid4().hex}/x").read("a")
    assert "passw" not in str(caught.value)


def test_what_is_in_memory_stays_there() -> None:
    place = open_url(f"memory://{uuid4().hex}/x")
    place.write("a", b"b")
    for _ in range(40):
        open_url(f"memory://{uuid4().hex}/x").write("a", b"c")
    assert place.read("a") == b"b"


@pytest.mark.usefixtures("s3")
def test_a_bucket_that_is_not_there_is_one_line() -> None:
    with pytest.raises(StoreUnreachableError, match="there is no such bucket"):
        open_url(f"s3://{uuid4().hex}/x").write("a", b"")


# The lock.


def test_a_second_process_is_refused_at_once_and_let_in_afterwards(remote: ObjectPlace) -> None:
    with Staging(remote):
        start = time.monotonic()
        with pytest.raises(StoreBusyError, match=r"store: a process on .* wait for it, or \d+ s"):
            Staging(remote).__enter__()
        assert time.monotonic() - start < 2
    with Staging(remote):
        pass
    assert remote.keys() == []


def test_of_many_that_come_at_once_one_gets_it(remote: ObjectPlace) -> None:
    got, refused = [], []
    all_there = threading.Barrier(8)

    def try_it() -> None:
        lock = remote.lock("lock")
        all_there.wait()
        try:
            lock.acquire()
        except StoreBusyError:
            refused.append(lock)
        else:
            got.append(lock)

    threads = [threading.Thread(target=try_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(refused)) == (1, 7)
    got[0].release()


def test_a_killed_process_of_this_machine_holds_nothing(s3: dict[str, str]) -> None:
    url = f"s3://bucket/{uuid4().hex}/store"
    code = (
        "import sys; from featurestore._place import place_of\n"
        "place_of(sys.argv[1]).lock('lock').acquire(); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == b"held"
        with pytest.raises(StoreBusyError):
            place_of(url).lock("lock").acquire()
        other.kill()
    lock = place_of(url).lock("lock")
    lock.acquire()
    lock.check()
    lock.release()


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks that are taken seem to be taken on another machine."""
    monkeypatch.setattr(_lease, "_is_gone", lambda holder: False)


@pytest.mark.usefixtures("elsewhere")
def test_a_lock_that_lapsed_is_taken_over_and_its_holder_learns_it(
    remote: ObjectPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = remote.lock("lock"), remote.lock("lock")
    first.acquire()
    with pytest.raises(StoreBusyError, match=r"or 60 s if it was killed|or 59 s if it was killed"):
        second.acquire()
    later = datetime.now(UTC) + timedelta(seconds=61)
    monkeypatch.setattr(_lease.Lease, "_server_time", lambda self: later)
    second.acquire()
    first.check()  # it doesn't know yet
    first._renew()
    with pytest.raises(StoreBusyError, match="took over"):
        first.check()
    first.release()
    second._renew()
    second.check()
    second.release()
    assert remote.keys() == []


@pytest.fixture
def taken_over(
    remote: ObjectPlace, elsewhere: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Staging, Staging]]:
    """The stagings of a holder that slept, and of another that took its lock over."""
    first, second = Staging(remote), Staging(remote)
    first.__enter__()
    later = datetime.now(UTC) + timedelta(seconds=61)
    with monkeypatch.context() as patch:
        patch.setattr(_lease.Lease, "_server_time", lambda self: later)
        second.__enter__()
    yield first, second
    first.__exit__(None, None, None)
    second.confirm()
    second.__exit__(None, None, None)


def test_a_holder_that_slept_commits_nothing(
    remote: ObjectPlace, taken_over: tuple[Staging, Staging]
) -> None:
    first, second = taken_over
    second.begin({"seed": 0})
    before = remote.keys()
    first.check()  # it doesn't know yet
    with pytest.raises(StoreBusyError, match="took over"):
        commit(remote, first.confirm)
    assert remote.keys() == before
    remote.write(".staging/commit.json", b"")
    with pytest.raises(StoreBusyError, match="took over"):
        finish_commit(remote, first.confirm)
    assert ".staging/settings.json" in remote.keys()  # noqa: SIM118  # no dict


def test_a_holder_that_slept_writes_over_no_results(
    remote: ObjectPlace, taken_over: tuple[Staging, Staging]
) -> None:
    for number, staging in enumerate(taken_over):
        segments = Segments(remote.within("segments"), staging.writer)
        segments.read_outcomes(3)
        segments.add(Result(number, kind="gone"))
        segments.flush()
    assert Segments(remote.within("segments")).read_outcomes(3).kind == ["gone", "gone", None]


def test_a_lock_of_which_nobody_can_tell_is_left_to_lapse(
    remote: ObjectPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = remote.lock("lock")
    lock.acquire()

    def fail(self: ObjectPlace, **kind: bool) -> Any:
        raise StoreUnreachableError("the server is gone")

    with monkeypatch.context() as patch:
        patch.setattr(ObjectPlace, "requests", fail)
        with pytest.raises(StoreUnreachableError):
            lock.confirm()
        lock.release()
    assert remote.keys() == ["lock"]


@pytest.mark.skipif(shutil.which("unshare") is None, reason="no processes can be hidden here")
def test_a_process_of_another_container_is_not_taken_for_gone(s3: dict[str, str]) -> None:
    url = f"s3://bucket/{uuid4().hex}/store"
    code = (
        "import sys; from featurestore._place import place_of\n"
        "place_of(sys.argv[1]).lock('lock').acquire(); print('held', flush=True); sys.stdin.read()"
    )
    hidden = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    with subprocess.Popen(
        [*hidden, sys.executable, "-c", code, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        if other.stdout.readline().strip() != b"held":
            pytest.skip("no processes may be hidden here")
        with pytest.raises(StoreBusyError):
            place_of(url).lock("lock").acquire()
        other.communicate(b"")


def test_what_a_killed_process_asked_a_server_with_is_cleared_away(remote: ObjectPlace) -> None:
    remote.write(".staging/lock.0123", b"")
    with Staging(remote) as staging:
        staging.remove()
    assert remote.keys() == []


@pytest.mark.usefixtures("elsewhere")
def test_a_lock_is_renewed_while_it_is_held(
    remote: ObjectPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_lease, "LEASE_SECONDS", 0.2)
    lock = remote.lock("lock")
    lock.acquire()
    before = remote.read("lock")
    deadline = time.monotonic() + 10
    while remote.read("lock") == before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert remote.read("lock") != before
    lock.check()
    lock.release()


def test_a_request_that_was_made_twice_finds_its_own_lock(remote: ObjectPlace) -> None:
    lock = remote.lock("lock")
    lock.acquire()
    # Its answer is lost, so that the next request expects what was there before.
    remote.store.put(remote.path("lock"), lock._body())
    lock._renew()
    lock.check()
    lock._renew()
    lock.check()
    lock.release()
    assert remote.keys() == []
